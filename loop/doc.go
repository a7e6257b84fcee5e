// Package loop runs functions one at a time, on the goroutine of whoever runs it.
//
// A daemon's state belongs to one goroutine; everybody else posts functions to it. [Loop] is such a
// queue with a goroutine at its end. There are three ways to have one:
//
//   - no loop of your own: call [Loop.Run], or let CommandMgr.Run do it;
//   - a select loop: add one case, "case <-l.Ready(): l.Poll()";
//   - a loop of another kind (a GUI's, a game's, libuv): anything with a Post is a [Poster], and
//     package looptest checks that it keeps a Poster's promises.
//
// The words are ASIO's, with ASIO's meanings.
package loop
