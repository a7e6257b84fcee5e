// Package looptest checks that an entrance to an event loop keeps the promises of a [loop.Poster].
//
// Who gives CommandMgr the loop of a GUI, of a game or of libuv writes one test:
//
//	func TestLoop(t *testing.T) {
//		looptest.Test(t, func(t testing.TB) (loop.Poster, func(context.Context)) {
//			w := window.New()
//			run := func(ctx context.Context) {
//				stop := context.AfterFunc(ctx, w.Quit)
//				defer stop()
//				w.MainLoop()
//			}
//			return poster{w}, run
//		})
//	}
//
// Run it with -race as well: one of the checks is for the race detector.
package looptest
