"""What can go wrong, as one hierarchy, each kind with the exit code a scheduler sees.

    EmberlineError              1
    ├── ConfigError             2   the pipeline file or the command line is wrong
    ├── DataError               3   what was read is not what it should be
    │   ├── SchemaError             a column is missing or has another type
    │   ├── ManifestError           a dataset is missing, torn, altered or mixed
    │   ├── EmptyDatasetError       nothing is left to work on
    │   ├── NotServedError          a release has no answer to what it is asked
    │   └── GateError               a release is worse than its gates allow
    ├── StorageError            1   a disk is full, or an object store or HDFS does not answer, or
    │                               refuses
    ├── UnreachableError       75   a publisher's server does not answer, or breaks off: try again
    │                               later
    ├── LockedError            75   another run works on the same root: try again when it has ended
    ├── WorkerError             1   Java or a worker of Spark was killed; trainer processes died,
    │                               each time that they were started
    ├── TrainingError           4   the numbers went wrong (a loss that is not finite)
    └── Preempted              75   saved; run me again (EX_TEMPFAIL of sysexits.h)

Messages are one argument, so that they cross process borders, and say what was expected, what was
found, where, and what to do. Only 1 and 75 are worth a scheduler's retry. Anything that is not an
EmberlineError is a bug: it keeps its traceback and ends with 1.
"""


class EmberlineError(Exception):
    """The root of the hierarchy; `exit_code` is what the process ends with."""

    exit_code = 1


class ConfigError(EmberlineError):
    """The pipeline file, an option or the machine's set-up has to be changed first."""

    exit_code = 2


class DataError(EmberlineError):
    """The data that was read does not hold what it should."""

    exit_code = 3


class SchemaError(DataError):
    """A column is missing or has a type that does not fit."""


class ManifestError(DataError):
    """A dataset is missing, incomplete, altered, or joined from several runs."""


class EmptyDatasetError(DataError):
    """No row is left to work on."""


class StorageError(EmberlineError, OSError):
    """A disk is full, or an object store or HDFS does not answer, or refuses; where a missing
    file is an OSError, so is this.
    """

    exit_code = 1


class UnreachableError(EmberlineError):
    """A server on the network does not answer, or breaks off again and again; what has come is
    kept.
    """

    exit_code = 75


class LockedError(EmberlineError):
    """Another run works on the same root."""

    exit_code = 75


class NotServedError(DataError):
    """A release has no answer: an id is unknown, somebody has no list, or a table is missing."""


class GateError(DataError):
    """A release is not published, because one of its gates does not hold."""


class WorkerError(EmberlineError):
    """Processes died, hung or did not start, trainers as often as they were started; the
    message says which, where and how.
    """

    exit_code = 1


class TrainingError(EmberlineError):
    """Training cannot go on, for example because the loss is not finite."""

    exit_code = 4


class Preempted(EmberlineError):
    """The process was asked to stop and has saved its state: run the same command again."""

    exit_code = 75


class UnusableError(Exception):
    """Bytes give no picture, or whatever they were taken for; the one argument is a short reason,
    the same for every file with that fault. It ends in a table, and never a run.
    """
