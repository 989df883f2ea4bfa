"""Which tempi, kits and voices a band of a style would choose."""

# Tempo ranges (quarters a minute; felt dotted quarters in 6/8) that a band would choose.
TEMPI = {
    "jazz": (90, 220),
    "latin": (85, 170),
    "rock": (85, 165),
    "metal": (95, 190),
    "funk": (85, 125),
    "electronic": (105, 150),
    "reggae": (62, 100),
    "pop": (80, 140),
    "folk": (80, 150),
    "country": (80, 160),
    "blues": (60, 140),
    "march": (90, 130),
    "dance": (105, 150),
    "waltz": (80, 190),
    "ballad": (56, 90),
    "hip hop": (70, 108),
    "soul": (75, 125),
}
KIT_CHOICES = {
    "jazz": ("jazz", "brush", "brush", "standard"),
    "ballad": ("standard", "brush", "room"),
    "electronic": ("electronic", "tr-808"),
    "hip hop": ("tr-808", "electronic", "standard"),
    "dance": ("electronic", "standard", "tr-808"),
    "metal": ("power", "power", "room"),
    "rock": ("standard", "power", "room"),
    "latin": ("standard", "jazz", "room"),
    "march": ("orchestra", "standard"),
}
REVOICE = {
    "bass": (32, 33, 33, 34, 35, 36, 38, 39),
    "guitar": (24, 25, 26, 27, 28, 29, 30),
    "keys": (0, 1, 2, 4, 5, 6, 7, 11, 16, 17, 18, 21),
    "other": (48, 49, 50, 51, 61, 62, 80, 81, 88, 89, 90, 91, 94),
}
