// Package fifo reaches a daemon through named pipes, fifo(7): two for each conn, in one directory.
// It is an example of a transport that lives outside rudderpost's own packages, and as good as those.
//
// The daemon makes the FIFO "knock" in the directory. A client makes two FIFOs there under a random
// name, NAME.up to speak and NAME.down to hear, writes a greeting into the first, and then NAME into
// "knock", all of which takes one write each and no waiting. The daemon opens the two, answers with a
// line feed, and removes their names: from then on nobody else can open them.
//
// The directory belongs to the daemon's user and to this package alone, and its mode says who may
// connect: 0700 that user (and root), 1730 the directory's group, 1733 everybody on this system. No
// other mode is accepted, on either side, since nobody may list it, nor remove what is another's:
//
//	install -d -m 1733 /run/greeter
//
// Only its owner can write to a FIFO of mode 0600 or 0644, and nobody can make a file that belongs to
// another, so the owner of NAME.up is who speaks: a [User]. He could be tricked into speaking to one
// daemon while somebody moves his FIFOs to another, and therefore the greeting says which "knock" it
// is for. That takes Linux; elsewhere the package is empty. Both sides must be in one user namespace.
package fifo
