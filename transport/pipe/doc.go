// Package pipe is a transport in memory, for tests and for a daemon that sends commands to itself.
//
// Call [New], Listen on the result, and Dial it: the [Transport] value is the address. A conn behaves like a socket. It
// has a buffer of 64 KiB in each direction, and Send blocks while the buffer is full. The peer of both ends is this
// process: its credential is [Self], with the subject "self".
//
// A test that writes bytes and not frames uses [Transport.DialBytes]. All functions block on channels and condition
// variables only, so they work in a bubble of testing/synctest, in virtual time.
package pipe
