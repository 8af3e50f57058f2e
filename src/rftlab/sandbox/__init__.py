"""Programs that nobody has read, run so that they can neither harm the machine nor forge their verdict.

``inside``   what a child process does first: leave the machine's view, take limits, drop rights
``calls``    system calls that are refused
``sweep``    ends what a program leaves behind
``levels``   how strong that can be here: bubblewrap, namespaces, limits
``process``  the parent's side of one such child
``codec``    values between processes as data
``serve``    the candidate's side: answers calls
``judge``    the side that holds the expected values: runs the tests, asks the candidate for values
``watched``  tests that go on after a failure
``script``    a program that reads standard input
``grading``  the two sides brought together
"""
