// Package unix reaches a daemon through a UNIX socket, the way in that needs no password: the file's
// owner, group and mode say who may connect, and the kernel says who did.
//
// The socket file stands at its path with its final owner and mode from its first instant. A lock
// file beside it, the path with ".lock" behind it, says whether a living daemon owns the path: a
// second one is refused, and what a killed one left behind is replaced. Anything at the path that is
// not a socket is left alone and refused. The directory must not be writable by others, since then
// they could put a socket of their own in its place; make one for the daemon alone, mode 0700, or
// 0750 and its group when the socket has a group too. There are no abstract sockets, which have no
// mode at all.
//
// Every [Transport] knows its peer as a [Cred], on both sides. A peer is asked for nothing and
// believed in nothing: neither the name that it may have bound its own socket to nor descriptors
// that it sends are looked at. A daemon also learns whether the peer is in the group of the socket file,
// by its first group or by another one.
//
// On Linux a path may be as long as any other file's. Elsewhere a socket address has room for about
// a hundred bytes, credentials are known on macOS and FreeBSD only, and the package is empty on
// Windows and AIX.
package unix
