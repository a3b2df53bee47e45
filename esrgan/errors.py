"""What a person is told when something cannot be done: what was wrong, with which file or value, and what to do."""


class EsrganError(Exception):
    """The base of every error that is meant for a person; its message is one that can be shown as it is."""


class FileError(EsrganError):
    """A file that is not what it should be, or a place where none can be written."""


class ImageError(EsrganError):
    """A file that cannot be used as a photo."""


class WeightsError(EsrganError):
    """A weight file that is missing, damaged or made for another architecture."""


class NoSuchStage(WeightsError):
    """A model that is sound, but was kept without the weights of the stage that was asked for."""


class HubUnreachable(WeightsError):
    """The Hub cannot be reached, and what was asked of it is not in the cache."""


class HubError(EsrganError):
    """What could not be done on the Hub."""


class DataError(EsrganError):
    """A data set that cannot be trained on."""


class TrainingError(EsrganError):
    """A training that cannot begin or go on."""


class StudyError(EsrganError):
    """A study that cannot begin or go on."""


class BackendError(EsrganError):
    """A way to compute or to export that cannot be used on this machine."""
