"""How the admin writes times: sortable and to the second. Pages use the filter `dt`."""

DATETIME_FORMAT = "Y-m-d H:i:s"
