// Package looptest tests that an event loop keeps the promises of a [loop.Poster].
//
// It is for authors that give CommandMgr the loop of a GUI, of a game or of libuv. They write one test:
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
// Run the test with -race too: one of the checks is for the race detector.
package looptest
