// Package fifo connects to a daemon through named pipes, fifo(7): each conn has two, in one directory. It is an example of a
// transport outside of rudderpost's own packages.
//
// # Handshake
//
// The daemon makes the FIFO "connect" in the directory. A client makes two FIFOs there under a random name: NAME.up, which it
// writes, and NAME.down, which it reads. It writes a greeting into NAME.up, and then NAME into "connect". Both fit into the
// buffers of a FIFO, so the client does not wait. The daemon opens the two FIFOs, answers with a line feed, and removes their
// names. After that no other process can open them.
//
// # Access
//
// The directory belongs to the daemon's user, and only this package uses it. Its mode says which users may connect: 0700 the
// daemon's user and root, 1730 the group of the directory too, 1733 every user of the system. Both sides refuse all other
// modes. With these modes only the owner of the directory can list it, and no user can remove a file of another:
//
//	install -d -m 1733 /run/greeter
//
// # Identity
//
// Only its owner can write to a FIFO of mode 0600 or 0644, and no user can make a file that belongs to another. So the owner
// of NAME.up is the user at the other end: a [User]. The greeting names the "connect" that the client has used. Without that,
// another user could move the FIFOs of a client to the directory of another daemon.
//
// All this needs Linux. On other systems the package is empty. Both sides must be in one user namespace.
package fifo
