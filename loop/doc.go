// Package loop runs functions one at a time on one goroutine.
//
// It is for daemons whose state belongs to one goroutine, so that the state needs no locks. Other goroutines post functions
// to that goroutine. There are three ways to have a loop:
//
//   - The daemon has no loop of its own: call [Loop.Run], or let CommandMgr.Run do it.
//   - The daemon has a select loop: add one case, "case <-l.Ready(): l.Poll()".
//   - The daemon has another kind of loop (a GUI, a game, libuv): each type with a Post method is a [Poster]. Package
//     looptest tests that it keeps the promises of a Poster.
//
// A [Pool] runs tasks on other goroutines. A [CriticalSection] pauses such goroutines while a function on the loop changes
// the data that they read.
//
// Run, RunOne, Poll, PollOne and Post have the meanings that they have in ASIO.
package loop
