"""A name and perhaps a path come in; the embedding of that name, with its weights, goes out."""

from pathlib import Path

from restem.errors import UserError
from restem.evaluation.embeddings.protocol import Embedded, Embedding

__all__ = ["NAMES", "Embedded", "Embedding", "embedding_from_words", "load_embedding"]

_TAGGERS = ("MSD_musicnn", "MTT_musicnn", "MTT_vgg")
_PANNS = ("panns-cnn14-16k", "panns-cnn14-32k")
NAMES = (*_TAGGERS, *_PANNS, "vggish")


def load_embedding(name: str, path: Path | None = None) -> Embedding:
    """Load an embedding (extra `evaluation`: torch and librosa).

    The taggers (MSD_musicnn, MTT_musicnn, MTT_vgg) come from the installed PyPI package `musicnn`
    or from its unpacked folder at `path`; the others need the path of their published checkpoint.
    Raises UserError for an unknown name, missing weights and missing packages.
    """
    if name not in NAMES:
        raise UserError(f"There is no embedding {name}; choose from {', '.join(NAMES)}.")
    try:
        # torch is an extra, and this package can be imported without it
        from restem.evaluation.embeddings.musicnn import Musicnn
        from restem.evaluation.embeddings.panns import Panns
        from restem.evaluation.embeddings.vggish import Vggish
    except ModuleNotFoundError as error:
        raise UserError(
            f"Embeddings need the package {error.name}; run `pip install 'restem[evaluation]'`."
        ) from error
    if name in _TAGGERS:
        return Musicnn(name, path)
    if path is None:
        raise UserError(f"{name} needs its checkpoint: write {name}=PATH to the downloaded file.")
    return Panns(name, path) if name in _PANNS else Vggish(path)


def embedding_from_words(words: str) -> Embedding:
    """The embedding that the command line names as NAME, NAME=PATH or
    NAME=hub:OWNER/REPOSITORY/FILE. Raises UserError as `load_embedding`."""
    name, _, place = words.partition("=")
    if not place or name not in NAMES:
        return load_embedding(name)
    try:
        from restem.evaluation.embeddings.weights import local_file
    except ModuleNotFoundError:
        return load_embedding(name)  # which says what to install
    return load_embedding(name, local_file(place))
