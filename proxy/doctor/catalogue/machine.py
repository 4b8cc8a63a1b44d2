"""Findings about the machine: its disk, files, users and limits."""

from proxy.doctor.catalogue.row import DOUBT, FAILURE, NOTE, UNSEEN, CatalogueRow

ROWS = {
    "parser_missing": CatalogueRow(
        FAILURE,
        "aiohttp without its C parser",
        "request-smuggling defects were found in the other parser alone, so the proxy refuses to start",
        "install aiohttp's wheel for this platform",
    ),
    "examination_cut": CatalogueRow(
        UNSEEN,
        "a part of the examination that did not come to its end",
        "what it would have found is not known",
        "run it again; if it says so again, report it with this line",
    ),
    "checked_as_root": CatalogueRow(
        NOTE,
        "the check runs as root",
        "root may do what the user of the proxy may not, so missing permissions stay unseen",
        "run it as the user the proxy runs as",
    ),
    "data_dir_missing": CatalogueRow(
        NOTE,
        "a data_dir that is not there yet",
        "the first start makes it, for the user who starts it",
        "start the proxy as the user it is to run as",
    ),
    "data_dir_unmakeable": CatalogueRow(
        FAILURE,
        "a data_dir that cannot be made",
        "the proxy could not start",
        "make it, and give it to the user of the proxy",
    ),
    "data_dir_not_directory": CatalogueRow(
        FAILURE, "a data_dir that is no directory", "the proxy could not start", "name a directory"
    ),
    "data_dir_unreadable": CatalogueRow(
        FAILURE,
        "a data_dir that cannot be looked at",
        "the proxy could not start",
        "give it to the user of the proxy",
    ),
    "data_dir_unwritable": CatalogueRow(
        FAILURE,
        "a data_dir that this user cannot write",
        "nothing could be stored, and pages would get 503",
        "give it to the user of the proxy",
    ),
    "data_dir_foreign_files": CatalogueRow(
        FAILURE,
        "files of somebody else in data_dir",
        "a command that ran as root leaves files that the proxy may not open, and it would not start",
        "give them back",
    ),
    "data_dir_open": CatalogueRow(
        DOUBT,
        "a data_dir that other users may look into",
        "it holds the secret, if none is configured, and names and ids of events",
        "close it to others",
    ),
    "secret_file_open": CatalogueRow(
        FAILURE,
        "the secret's file open to other users",
        "whoever reads it opens what waits, and forges visitor cookies",
        "close it to others",
    ),
    "config_file_open": CatalogueRow(
        DOUBT,
        "a configuration with secrets in it, open to other users",
        "tokens and secrets that are written out can be read by every user of this machine",
        "close it to others, or write env:NAME and file:PATH in place of the secrets",
    ),
    "data_dir_in_use": CatalogueRow(
        NOTE,
        "a data_dir in use by a running proxy",
        "whether the listed secrets open it can be seen only while no proxy works in it",
        "nothing to mend; stop the proxy first if you want that looked at",
    ),
    "old_secret_forgotten": CatalogueRow(
        FAILURE,
        "events that no listed secret opens",
        "the proxy refuses to start rather than lose them",
        "list the earlier secret in old_secrets",
    ),
    "disk_short": CatalogueRow(
        FAILURE,
        "less free disk than must stay free",
        "every page gets 503, and events are kept only as long as their browsers keep them",
        "make room, or lower queue.min_free_bytes",
    ),
    "disk_nearly_short": CatalogueRow(
        DOUBT,
        "a disk without room for an outage",
        "while Meta is away events wait on the disk; what fits is less than the settings allow to wait",
        "make room, or lower queue.max_bytes to what there is",
    ),
    "disk_slow": CatalogueRow(
        DOUBT,
        "a disk that is slow to make sure",
        "each acknowledgement waits for it, so pages wait, and few requests a second are possible",
        "move data_dir to a local SSD",
    ),
    "disk_unmeasured": CatalogueRow(
        UNSEEN,
        "a disk whose speed could not be measured",
        "how long an acknowledgement takes is not known",
        "nothing, where the proxy runs well; the metrics show how long commits take",
    ),
    "disk_volatile": CatalogueRow(
        FAILURE,
        "a data_dir in memory",
        "acknowledged events are gone with the next restart of the machine",
        "name a directory on a disk",
    ),
    "disk_network": CatalogueRow(
        FAILURE,
        "a data_dir on a network file system",
        "locks and flushes cannot be relied on there, and a queue can be damaged for good",
        'name a directory on a local disk, or use engine = "postgres"',
    ),
    "disk_of_container": CatalogueRow(
        DOUBT,
        "a data_dir in a container's own layer",
        "what waits is gone when the container is made anew, as each update does",
        "mount a volume there",
    ),
    "descriptors_few": CatalogueRow(
        DOUBT,
        "fewer file descriptors than limits.connections needs",
        "the proxy takes fewer connections than the settings say, and visitors wait",
        "raise the limit of the service",
    ),
    "port_taken": CatalogueRow(
        FAILURE,
        "a port that another program listens on",
        "the proxy could not start",
        "stop that program, or take another port",
    ),
}
