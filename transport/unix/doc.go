// Package unix is the transport over UNIX sockets. It needs no password: the owner, group and mode of the socket file say
// which users may connect, and the kernel reports which user has connected.
//
// A daemon calls [Transport.Listen] with the path of its socket, and a client calls [Transport.Dial] with the same path.
// The credential of each peer, on both sides, is a [Cred]. Its subject is "uid:1000". A daemon also learns whether the
// peer is in the group of the socket file. The name to which a client has bound its own socket, and descriptors that it
// sends, are ignored.
//
// # The socket file
//
// The socket file has its final owner and mode from the moment when it appears. A lock file beside it, with the same
// name and ".lock", shows whether a running daemon owns the path. Listen refuses a path that another daemon owns, and
// replaces the files of a daemon that was killed. It refuses a path with any file that is not a socket, and does not
// change that file. Close removes both files.
//
// Other users must not be able to write to the folder, because they could replace the socket there. Make a folder for
// the daemon alone, with mode 0700, or with mode 0750 and the group of the socket. Abstract sockets are refused, because
// they have no permissions.
//
// # Systems
//
// On Linux the path may be as long as that of any other file. On other systems a socket address has room for about a
// hundred bytes. Credentials are known on Linux, macOS and FreeBSD; on other systems a peer has none. The package has no
// Transport on Windows and AIX.
package unix
