"""Sentences as musicians type them: what is heard in them, and what is not."""

from __future__ import annotations

import pytest

from restem.manner import density_of_words, dynamics_of_words
from restem.order import Order, asked_stem
from restem.symbolic.articulation import is_broken
from restem.symbolic.lines import is_short, is_single
from restem.symbolic.rhythms import A_BAR, Rhythm, rhythm_of
from restem.symbolic.voices import program_for


@pytest.mark.parametrize(
    ("words", "way"),
    [
        ("Don't play so loud", 0),
        ("Not quite so loud", 0),
        ("Don't make it so quiet", 0),
        ("The drums are too loud", 0),
        ("The last take was too loud; softer please", -1),
        ("It's too quiet, add louder drums", 1),
        ("My mix is already loud, so play softly", -1),
        ("loud drums with a fill at the end that builds up", 1),
        ("Start quiet and build to a big finish", 0),
        ("Start quiet and get louder in the chorus", 0),
        ("It's hard to describe but think Motown", 0),
        ("Make it hard to tell from a real drummer", 0),
        ("hard-panned toms", 0),
        ("play hard", 1),
        ("Play the drums hard", 1),
        ("hard-driving rock drums", 1),
        ("Hard, fast drums", 1),
        ("Strum hard", 1),
        ("Fast and hard", 1),
        ("Soft piano sounds", -1),
        ("Add hard rock drums", 0),
        ("Add a soft guitar sound", -1),
        ("Play softly because the song is quiet", -1),
        ("Soft drums as the song is a ballad", -1),
        ("The song is a ballad so soft drums please", -1),
        ("The song is a ballad - play softly", -1),
        ("My track is missing soft drums", -1),
        ("It's not a rock song so quiet drums please", -1),
        ("hit them hard", 1),
        ("Lightly distorted indie guitar", 0),
        ("Soft clipping, saturated drums", 0),
    ],
)
def test_how_hard(words: str, way: int) -> None:
    assert dynamics_of_words(words) == way


@pytest.mark.parametrize(
    ("words", "way"),
    [
        ("Don't make the drums so busy", 0),
        ("Don't play so many notes", 0),
        ("Please don't make it so simple", 0),
        ("That was too busy, try again", 0),
        ("Too many notes!", 0),
        ("The last one was too busy. Simpler this time.", -1),
        ("Too simple, make it busier", 1),
        ("The song is very busy, so keep the drums simple", -1),
        ("The arrangement is dense, so simple drums please", -1),
        ("Add drums with lots of space", 0),
        ("lots of reverb", 0),
        ("Add a rock beat. Many thanks!", 0),
        ("There are many guitars in this song, add drums", 0),
        ("lots of ghost notes", 1),
        ("many fills", 1),
        ("lots of hi-hat rolls", 1),
        ("lots of cymbal crashes", 1),
        ("Keep it simple because the song is slow", -1),
        ("Simply add some drums", 0),
        ("play simply", -1),
        ("Drums that start simple and become more complex", 0),
        ("only a few hits per bar", -1),
        ("drums with just a few notes", -1),
        ("a few well-placed chords", -1),
        ("a couple of hits per bar", -1),
        ("a few times per bar", -1),
        ("a few fills", 0),
        ("only a few fills per bar", 0),
        ("a few more notes", 0),
        ("a few ghost notes", 0),
        ("quite a few notes", 0),
        ("come in after a few bars", 0),
    ],
)
def test_how_many(words: str, way: int) -> None:
    assert density_of_words(words) == 1.5 * way


@pytest.mark.parametrize(
    ("words", "stem"),
    [
        ("Add drums that leave room for the vocals and the piano", "drums"),
        ("I recorded guitar and bass, please add drums", "drums"),
        ("Here's a song with vocals and guitar. Please add some soft drums.", "drums"),
        ("Add drums. The song has guitar and bass.", "drums"),
        ("Drums that support the bass and guitar", "drums"),
        ("Add drums to my guitar and piano duet", "drums"),
        ("Add drums and keep the guitar as it is", "drums"),
        ("Add drums and follow the bass line", "drums"),
        ("I have drums and guitar, please add bass", "bass"),
        ("Add a bass line and keep the drums", "bass"),
        ("Guitar to go with drums and bass", "guitar"),
        ("Song has drums, bass and piano. Add guitar.", "guitar"),
        ("Keys to complement the bass and drums", "keys"),
        ("Lock in with the kick on the one", "bass"),
        ("Follow the kick", "bass"),
        ("Double the guitar riff an octave down", "bass"),
        ("Low notes under the piano", "bass"),
        ("Chops with the snare", "guitar"),
        ("chords that follow the piano", "guitar"),
        ("Give me a groove the bass player can lock to", "drums"),
        ("Something groovy for my piano song", "drums"),
        ("Jazz trio feel, leave space for the piano", "drums"),
        ("A groove that leaves room for the vocals", "drums"),
        ("Something for my vocals", "drums"),
        ("The vocals are quiet, so play lightly", "drums"),
        ("leave space for the singer", "guitar"),
        ("Nylon strings, tender", "guitar"),
        ("let the strings ring", "guitar"),
        ("leave room for the guitar solo", "drums"),
        ("Add a bass under the synth drone", "bass"),
        ("solo jazz piano", "keys"),
        ("no ghost notes", "drums"),
    ],
)
def test_what_the_song_has_gets_no_notice(words: str, stem: str) -> None:
    assert not Order(words, stem).doubts()


@pytest.mark.parametrize(
    ("words", "stem"),
    [
        ("add a funky bass", "bass"),
        ("Add jazzy brushed drums", "drums"),
        ("Add drums that lock with the bass", "drums"),
        ("a walking bass", "bass"),
        ("jazzy piano comping", "keys"),
        ("jazzy", "drums"),
        ("something for my piano song", "drums"),
        ("bass and drums", "drums"),
        ("Add a guitar and drums", "drums"),
        ("piano and guitar", "keys"),
        ("add a synth bass", "bass"),
        ("a bass synth", "bass"),
        ("a synth-pop bass line", "bass"),
        ("bass guitar", "bass"),
        ("strummed chords", "guitar"),
        ("piano with Alberti bass", "keys"),
        ("Add bass to the drums", "bass"),
        ("Add to the song a Hammond organ", "keys"),
        ("I have drums and guitar, please add bass", "bass"),
        ("Here's a song with vocals and guitar. Please add some soft drums.", "drums"),
        ("Guitar to go with drums and bass", "guitar"),
        ("Keys to complement the bass and drums", "keys"),
        ("a bass line that follows the kick", "bass"),
        ("Double the guitar riff an octave down", "drums"),
        ("bass drum only", "drums"),
        ("drum and bass", "drums"),
        ("piano chords on every beat", "keys"),
        ("a disco beat", "drums"),
        ("bass, no drums", "bass"),
        ("no bass, just rock", "drums"),
        ("reggae skank guitar", "guitar"),
        ("a guitar over the piano", "guitar"),
        ("My song has drums. Add a Rhodes.", "keys"),
        ("My song needs bass", "bass"),
        ("Leave space for the piano", "drums"),
        ("double bass", "bass"),
        ("double bass drum", "drums"),
        ("give the song a guitar-driven rock beat", "drums"),
        ("guitar on the beat", "guitar"),
    ],
)
def test_the_sentence_names_the_stem(words: str, stem: str) -> None:
    assert asked_stem(words) == stem


@pytest.mark.parametrize(
    ("words", "stem", "said"),
    [
        ("Add drums and bass", "drums", "names bass"),
        ("Add drums and a jazz piano", "drums", "names keys"),
        ("Add a piano", "drums", "names keys"),
        ("I'd like a piano", "drums", "names keys"),
        ("Can I have a guitar please", "drums", "names guitar"),
        ("Let's have a bass line", "drums", "names bass"),
        ("I'm looking for a piano part", "drums", "names keys"),
        ("I'd like drums and bass", "drums", "names bass"),
        ("My song needs bass", "drums", "names bass"),
        ("Add a bass player", "drums", "names bass"),
        ("For my song, a piano", "drums", "names keys"),
        ("Keep going, add bass", "drums", "names bass"),
        ("I'd like a violin", "keys", "no violin"),
        ("Add some strings in the background", "guitar", "no strings"),
        ("Add a trumpet", "keys", "no trumpet"),
        ("Drums in the bridge", "drums", "in the bridge"),
        ("Skip the intro", "drums", "skip the intro"),
        ("Play at 120 beats per minute", "drums", "120 beats per minute"),
        ("Skip the hi-hats", "drums", "hi-hats"),
        ("Just add a snare", "drums", "snare"),
        ("Start sparse, then build", "drums", "start sparse"),
        ("crash on the one", "drums", '"crash on the one" may not be heeded'),
        ("rolling hi-hats", "drums", "rolling hi-hats"),
        ("open hats on the chorus", "drums", "on the chorus"),
        ("open hats", "drums", '"open hats" may not be heeded'),
        ("Drums, louder on the chorus", "drums", "on the chorus"),
        ("ghost notes on the snare", "drums", '"ghost notes on the snare"'),
        ("house drums, four-on-the-floor", "drums", "where and how single drums strike"),
        ("four on the floor kick", "drums", '"four on the floor"'),
        ("kick on every beat", "drums", '"kick on every beat"'),
        ("Add a guitar solo", "guitar", '"solo" may not be heeded'),
        ("drum solo", "drums", '"solo" may not be heeded'),
        ("pedal tone on A", "bass", '"pedal tone" may not be heeded'),
        ("organ drone", "keys", "the notes follow the song's chords"),
        ("bass in the high register", "bass", "a bass stays low"),
    ],
)
def test_what_is_not_made_gets_a_notice(words: str, stem: str, said: str) -> None:
    assert said in Order(words, stem).doubts()[0]


@pytest.mark.parametrize(
    ("words", "stem", "rhythm"),
    [
        ("The melody is in eighth notes, so play half notes", "keys", Rhythm(24)),
        ("the song is in eighth notes; add long chords", "keys", Rhythm(A_BAR)),
        ("The strings play long notes; add short piano stabs", "keys", Rhythm()),
        ("The melody plays long notes, add a busy bass", "bass", Rhythm()),
        ("There are pads and strings, add a groovy bass", "bass", Rhythm()),
        ("Bass to sit under the pad", "bass", Rhythm()),
        ("The song has a pad, add guitar", "guitar", Rhythm()),
        ("the banjo plays sixteenth notes, add guitar", "guitar", Rhythm()),
        ("The trumpet plays on two and four, add bass", "bass", Rhythm()),
        ("Clean guitar, eighth note delay", "guitar", Rhythm()),
        ("Rhodes with quarter-note tremolo", "keys", Rhythm()),
        ("Groovy bass with sixteenth note ghost notes", "bass", Rhythm()),
        ("synth pad pulsing in eighth notes", "keys", Rhythm(6)),
        ("Add organ pads", "keys", Rhythm(A_BAR)),
        ("Play the root on beat one and the fifth on beat three", "bass", Rhythm(beats=(0, 2))),
        ("chords on beats 2/4", "keys", Rhythm(beats=(1, 3))),
        ("Strum on beats 1 and 3, up on 2 and 4", "guitar", Rhythm(beats=(0, 1, 2, 3))),
        ("One strum a bar", "guitar", Rhythm(A_BAR)),
        ("straight 8s", "bass", Rhythm(6)),
        ("1/8-notes", "bass", Rhythm(6)),
        ("Eighth notes without fills", "bass", Rhythm(6)),
        ("A simple melody in quarter notes", "keys", Rhythm(12)),
        ("This song needs long notes", "bass", Rhythm(A_BAR)),
        ("The track needs chords on two and four", "keys", Rhythm(beats=(1, 3))),
        ("muted strings on two and four", "guitar", Rhythm(beats=(1, 3))),
        ("I have a walking bass in mind", "bass", Rhythm(0, walking=True)),
        ("Let the notes be short", "keys", Rhythm()),
        ("Let the chords ring", "keys", Rhythm(A_BAR)),
        ("Hold the notes short", "keys", Rhythm()),
        ("Bass drone", "bass", Rhythm(A_BAR)),
        ("Ambient guitar pads", "guitar", Rhythm(A_BAR)),
        ("Hold each chord for a full bar", "keys", Rhythm(A_BAR)),
    ],
)
def test_rhythms(words: str, stem: str, rhythm: Rhythm) -> None:
    assert rhythm_of(words, stem) == rhythm


@pytest.mark.parametrize(
    ("words", "stem", "program"),
    [
        ("Add bass to my acoustic guitar song", "bass", 33),
        ("A bass guitar for an acoustic folk song", "bass", 33),
        ("Bass guitar with a jazz feel", "bass", 33),
        ("Bass under my synth pads", "bass", 33),
        ("A picked guitar plays; add fingered bass", "bass", 33),
        ("Fingerstyle funk bass", "bass", 33),
        ("Pick up the energy with a rock bass", "bass", 33),
        ("Trap 808s", "bass", 38),
        ("Add bass to my song, upright please", "bass", 32),
        ("Add bass to this jazz song", "bass", 32),
        ("Add bass to my techno track", "bass", 38),
        ("jazz tune", "bass", 32),
        ("synth pop", "bass", 38),
        ("Add guitar to my track, distorted", "guitar", 30),
        ("Add guitar to the mix, nylon string", "guitar", 24),
        ("Add guitar to my metal song", "guitar", 30),
        ("My song is punk, add guitar", "guitar", 30),
        ("rock song", "guitar", 29),
        ("Change it to a jazz guitar", "guitar", 26),
        ("Muted strings", "guitar", 28),
        ("Acoustic guitar, not electric guitar", "guitar", 25),
        ("Add keys to my song, Hammond organ", "keys", 16),
        ("Over the drums, add an organ", "keys", 16),
        ("Add keys to this reggae song", "keys", 16),
        ("Piano for my EP", "keys", 0),
        ("Add to my song a Hammond organ", "keys", 16),
        ("an acoustic guitar, not an electric one", "guitar", 25),
        ("Stand-up bass", "bass", 32),
        ("Add electric guitar to my acoustic guitar recording", "guitar", 27),
        ("I already have an acoustic guitar, add an electric one", "guitar", 27),
        ("The song is acoustic; add electric guitar", "guitar", 27),
        ("Acoustic rock ballad guitar", "guitar", 25),
        ("Ambient guitar with heavy reverb", "guitar", 27),
        ("Undistorted jazz guitar", "guitar", 26),
        ("Neoclassical metal shredding", "guitar", 30),
        ("Post-punk guitar, cold and thin", "guitar", 27),
        ("Rock-steady guitar", "guitar", 27),
        ("My track has a Rhodes already, add a piano", "keys", 0),
        ("There is an organ in the song. Add a piano.", "keys", 0),
        ("Piano on top of pads", "keys", 0),
        ("Good vibes piano", "keys", 0),
        ("jazz vibes", "keys", 11),
        ("e piano", "keys", 4),
        ("Wurly", "keys", 4),
        ("B3", "keys", 16),
        ("Trance supersaw chords", "keys", 81),
    ],
)
def test_instruments(words: str, stem: str, program: int) -> None:
    assert program_for(stem, words) == program


@pytest.mark.parametrize(
    ("words", "stem", "single"),
    [
        ("single note riff", "guitar", True),
        ("piano melody, single notes", "keys", True),
        ("a funky guitar with single notes", "guitar", True),
        ("Add a lead line", "guitar", True),
        ("a simple piano melody", "keys", True),
        ("Add a Moog lead", "keys", True),
        ("guitar solo", "guitar", True),
        ("guitar in octaves", "guitar", True),
        ("piano in octaves", "keys", False),
        ("solo jazz guitar", "guitar", False),
        ("chords under the melody", "keys", False),
        ("follow the melody", "guitar", False),
        ("piano melody and chords", "keys", False),
        ("single notes, no chords", "guitar", True),
        ("no single notes", "guitar", False),
        ("single notes", "bass", False),
        ("leave room for the lead vocal", "keys", False),
        ("a chord melody", "guitar", False),
    ],
)
def test_one_note_at_a_time(words: str, stem: str, single: bool) -> None:
    assert is_single(words, stem) == single


@pytest.mark.parametrize(
    ("words", "stem", "short"),
    [
        ("reggae skank", "guitar", True),
        ("off-beat chops", "guitar", True),
        ("staccato chords", "keys", True),
        ("muted guitar", "guitar", True),
        ("choppy rhythm guitar", "guitar", True),
        ("short stabs", "keys", True),
        ("funky chops", "guitar", True),
        ("Let the notes be short", "keys", True),
        ("palm-muted power chords", "guitar", True),
        ("not staccato", "keys", False),
        ("a short chord progression", "keys", False),
        ("guitar with a muted trumpet", "keys", False),
        ("piano for my staccato strings song", "drums", False),
        ("Add guitar", "guitar", False),
        ("a line that supports the reggae skank guitar", "bass", False),
    ],
)
def test_short_notes(words: str, stem: str, short: bool) -> None:
    assert is_short(words, stem) == short


def test_what_another_breaks_is_not_broken() -> None:
    for words in (
        "Piano has arpeggios, add strummed guitar",
        "Guitar following the synth arpeggio",
    ):
        assert not is_broken(words, "guitar"), words
    for words in ("Piano with Alberti bass", "Alberti bass", "synth arp in 16ths"):
        assert is_broken(words, "keys"), words
    assert is_broken("arpeggiated guitar", "guitar")
