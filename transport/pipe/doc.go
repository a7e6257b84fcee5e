// Package pipe is a transport in memory: for tests, which it lets run in virtual time, and for a
// daemon that commands itself.
//
// The place is the [Transport] value: whoever has it can listen on it and dial it. A conn behaves
// like a socket, with a buffer of 64 KiB in each direction and a Send that waits for a slow reader.
// Both ends are this process, which is what the credential [Self] says.
//
// A test that wants to write bytes rather than frames, one at a time if need be, asks for them with
// [Transport.DialBytes]. Nothing here blocks but on channels and condition variables, so that all of
// it works in a bubble of testing/synctest.
package pipe
