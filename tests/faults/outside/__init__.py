"""Faults from outside the program: forks, signals, memory, disks, endpoints, exits, clocks, other versions beside it.

``python -m tests.faults.outside PART`` prints what a part finds, ``planted`` how soon the parts find planted faults.
Each part looks at real processes, which it starts itself.
"""
