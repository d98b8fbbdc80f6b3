"""The numbers: the table of metrics, the figures of one name, and those of the whole process."""
