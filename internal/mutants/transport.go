package main

// transportMutants are the mutants of packages transport and internal/netfd: the read loop with its deadlines, Close, the
// poller of idle conns, and the buffers with their accounts.
var transportMutants = []mutant{
	{
		"transport/hear.go", "h.drained = shortIsAll && s.in.all && h.turns > 0", "h.drained = shortIsAll && s.in.all",
		"the read loop waits before it reads the hang-up behind the first frame",
		kill{"./transport", "TestHangUpBehindTheFirstFrameIsReadWithoutADeadline", nil},
	},
	{
		"transport/hear.go", "skip := h.drained && s.scan.depth == 0", "skip := h.drained",
		"the buffer of half a frame is kept and not booked",
		kill{"./transport", "TestHalfAFrameIsBookedWhileItsRestIsAwaited", nil},
	},
	{
		"transport/hear.go", "\tif h.ctx.Err() != nil { // its deadline may have been overwritten\n\t\treturn os.ErrDeadlineExceeded\n\t}\n\treturn nil\n}\n\n// TrySend", "\treturn nil\n}\n\n// TrySend",
		"the read loop misses a context that ends while its deadline is set",
		kill{"./transport", "TestContextThatEndsWhileADeadlineIsSetEndsReading", nil},
	},
	{
		"transport/stream.go", "\tif ctx.Err() != nil { // its deadline may have been overwritten\n\t\treturn context.Cause(ctx)\n\t}\n", "",
		"Receive misses a context that ends while its deadline is set",
		kill{"./transport", "TestContextThatEndsWhileADeadlineIsSetEndsReading", nil},
	},
	{
		"transport/stream.go", "if s.hearing.inside.Load() {", "if false {",
		"Close waits for the callback that runs inside the read",
		kill{"./transport", "TestCloseWhileSomebodyHears", nil},
	},
	{
		"transport/watch.go", "return !s.closed.Load() || w.relieve(s) == nil // nil: Close has called wake", "if s.closed.Load() {\n\t\tw.relieve(s)\n\t\treturn false\n\t}\n\treturn true",
		"a conn that is closed behind Add is woken and refused",
		kill{"./transport", "TestCloseBehindAddWakesOnce", nil},
	},
	{
		"transport/watch.go", "return w.add(s, wake) && w.addedOpen(s)", "return w.add(s, wake)",
		"a conn that was closed before Add is added",
		kill{"./transport", "TestAddRefusesAClosedConn", nil},
	},
	{
		"transport/hear.go", "if !skip && h.ctx.Err() != nil {", "if false {",
		"the read loop does not look at the context between two reads",
		kill{"./transport", "TestHearEndsWhileItsPeerTalks", nil},
	},
	{
		"transport/hear.go", "quiet, h.timed = h.timed == h.turns, -1", "quiet, h.timed = true, -1",
		"a conn that received a frame since the deadline was set counts as idle",
		kill{"./transport", "TestConnThatReceivedFramesIsIdleOnlyAfterAnotherTime", nil},
	},
	{
		"transport/hear.go", "h.used = true // also by what is no frame", "// also by what is no frame",
		"a conn that receives only white space is never idle again",
		kill{"./transport", "TestHearReturnsForASilentPeer", nil},
	},
	{
		"transport/hear.go", "\t\t\th.turns++\n\t\t\th.used = true\n", "\t\t\th.turns++\n",
		"a conn that receives only frames of an earlier read is never idle",
		kill{"./transport", "TestHearReturnsForASilentPeer", nil},
	},
	{
		"transport/hear.go", "\t\t\t\t\th.used = false\n", "",
		"the loop returns again and again for a conn that stays idle",
		kill{"./transport", "TestHearFallsQuiet", nil},
	},
	{
		"transport/hear.go", "case s.limited() || !h.used:", "case !h.used:",
		"a frame that has begun has no deadline in the read loop",
		kill{"./transport", "TestHearIsLimitedInTime", nil},
	},
	{
		"transport/hear.go", "case s.limited() || !h.used:", "case s.limited():",
		"a conn that has received nothing counts as idle",
		kill{"./transport", "TestHearFallsQuiet", nil},
	},
	{
		"transport/hear.go", "|| len(s.left) > 0 {", "{",
		"frames are written before the rest of earlier ones",
		kill{"./transport", "TestTrySendIsRefusedOutsideOfTheCallbackAndBehindARest", nil},
	},
	{
		"transport/hear.go", "\tif !s.hearing.inside.Load() ||", "\tif",
		"a write without blocking is tried outside of the callback",
		kill{"./transport", "TestTrySendWhereOneCannotTry", nil},
	},
	{
		"transport/hear.go", "\tif s.left, err = tryWriteAll(s.hearing.fd, pieces); err != nil {\n\t\ts.gone(err)\n\t}", "\ts.left, err = tryWriteAll(s.hearing.fd, pieces)",
		"a failed write of parts does not end the context",
		kill{"./transport", "TestTrySendPartsToAPeerThatHasLeftEndsTheContext", nil},
	},
	{
		"transport/hear.go", "\tif err != nil {\n\t\ts.gone(err)\n\t}\n\treturn sent, err", "\treturn sent, err",
		"a failed write of frames does not end the context",
		kill{"./transport", "TestTrySendToWhoHasLeft", nil},
	},
	{
		"transport/hear.go", "net.Buffers{slices.Clone(lines[n:])}", "net.Buffers{slices.Clip(lines[n:])}",
		"the rest of a write lies in a buffer that others use",
		kill{"./transport", "TestTrySendIsRefusedOutsideOfTheCallbackAndBehindARest", nil},
	},
	{
		"transport/hear.go", "\th.inside.Store(false)\n", "",
		"the descriptor counts as in use after the read loop has returned",
		kill{"./transport", "TestTrySendIsRefusedOutsideOfTheCallbackAndBehindARest", nil},
	},
	{
		"transport/hear.go", "\t\t\th.drained = false\n\t\t\th.err = s.rest()", "\t\t\th.err = s.rest()",
		"no read follows the wait",
		kill{"./transport", "TestHearEndsWithItsContext", nil},
	},
	{
		"transport/hear.go", "h.ctx, h.heard, h.over, h.err, h.drained = ctx, heard, false, nil, false", "h.ctx, h.heard, h.over, h.err = ctx, heard, false, nil",
		"bytes that came between two loops are not read",
		kill{"./transport", "TestHearReadsWhatCameBetweenTwoCalls", nil},
	},
	{
		"transport/hear.go", "\t\t\tif err == nil {\n\t\t\t\terr = h.err\n\t\t\t}\n", "",
		"the error of a read is lost",
		kill{"./transport", "TestHear", nil},
	},
	{
		"transport/hear.go", "ctx.Err() == nil && !s.closed.Load() {", "ctx.Err() == nil {",
		"a conn whose Close interrupts the read counts as idle",
		kill{"./transport", "TestCloseThatInterruptsAReadIsNoSilence", nil},
	},
	{
		"transport/hear.go", "errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil &&", "errors.Is(err, os.ErrDeadlineExceeded) &&",
		"a conn whose context has ended counts as idle",
		kill{"./transport", "TestContextThatInterruptsAReadIsNoSilence", nil},
	},
	{
		"transport/stream.go", "\ts.hearing.timed = -1\n", "",
		"the deadline of an idle conn, which Receive has taken back, counts as set",
		kill{"./transport", "TestHearReturnsForASilentPeer", nil},
	},
	{
		"transport/stream.go", "\tif s.readEnd.follow(ctx) {\n\t\ts.deadline = time.Time{}\n\t}", "\ts.readEnd.follow(ctx)",
		"a deadline that was taken back with the end of a context counts as set",
		kill{"./transport", "TestFrameTimeoutCountsAcrossCancelledReceives", nil},
	},
	{
		"transport/stream.go", "\t\tif s.began.IsZero() {\n\t\t\ts.began = time.Now()\n\t\t}", "\t\ts.began = time.Now()",
		"each read restarts the time of a frame",
		kill{"./transport", "TestFrameTimeoutEndsATrickle", nil},
	},
	{
		"transport/stream.go", "\ts.ended = err\n\ts.in.release()\n", "\ts.ended = err\n",
		"a conn from which nothing more is received keeps its buffer",
		kill{"./transport", "TestNothingIsBookedAfterReceivingHasEnded", nil},
	},
	{
		"transport/stream.go", "\t_ = s.in.held.Set(0)\n\treturn err", "\treturn err",
		"a conn from which nothing more is received keeps bytes booked",
		kill{"./transport", "TestNothingIsBookedAfterReceivingHasEnded", nil},
	},
	{
		"transport/stream.go", "\ts.began = time.Time{}\n\ts.skipped = 0", "\ts.skipped = 0",
		"a frame has the time of the one before",
		kill{"./transport", "TestIdleEndsWithTheFirstFrame", nil},
	},
	{
		"transport/stream.go", "\ts.received = true\n", "",
		"each frame must come within the idle limit of the first",
		kill{"./transport", "TestIdleEndsWithTheFirstFrame", nil},
	},
	{
		"transport/stream.go", "\ts.gone(net.ErrClosed)\n", "",
		"Close does not end the context",
		kill{"./transport", "TestCloseWhileSomebodyHears", nil},
	},
	{
		"transport/stream.go", "\tdefer s.in.held.Close()\n", "",
		"Close does not return the booked bytes",
		kill{"./transport", "TestHalfAFrameIsBookedWhileItsRestIsAwaited", nil},
	},
	{
		"transport/stream.go", "\tdefer s.writeEnd.forget()\n", "",
		"a closed conn stays registered with the context of Send",
		kill{"./transport", "TestCloseReleasesContexts", nil},
	},
	{
		"transport/stream.go", "\tdefer s.readEnd.forget()\n", "",
		"a closed conn stays registered with the context of Receive",
		kill{"./transport", "TestCloseReleasesContexts", nil},
	},
	{
		"transport/stream.go", "\tif ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {\n\t\treturn context.Cause(ctx)\n\t}\n", "",
		"the end of a context is a timeout of the peer",
		kill{"./transport", "TestReceiveAfterAContextEndedWaitsAgain", nil},
	},
	{
		"transport/stream.go", "if _, ok := b.(net.Conn); !ok {", "if false {",
		"frames are written to the descriptor that is read",
		kill{"./transport", "TestTwoDescriptors", nil},
	},
	{
		"transport/watch.go", "if s.in.raw == nil || len(s.in.data) > 0 {", "if s.in.raw == nil {",
		"a conn with buffered bytes is parked",
		kill{"./transport", "TestWatchWakesWhoHasBeenSpokenTo", nil},
	},
	{
		"transport/watch.go", "\ts.consume()\n\tif s.in.raw", "\tif s.in.raw",
		"a conn whose last frame was not discarded is never parked",
		kill{"./transport", "TestAddTakesTheLastFrameAndReleasesTheContext", nil},
	},
	{
		"transport/watch.go", "\ts.readEnd.follow(context.Background()) // w does it for all\n", "",
		"a parked conn stays registered with its context",
		kill{"./transport", "TestAddTakesTheLastFrameAndReleasesTheContext", nil},
	},
	{
		"transport/watch.go", "\tif err != nil || bad != nil {\n\t\tw.leave(number)", "\tif err != nil || bad != nil {",
		"a descriptor that cannot be added takes a place",
		kill{"./transport", "TestAddThatFailsTakesNoPlace", nil},
	},
	{
		"transport/watch.go", "if n := len(w.free); n > 0 {", "if n := len(w.free); false {",
		"the places of conns that were woken are not used again",
		kill{"./transport", "TestPlacesAreUsedAgain", nil},
	},
	{
		"transport/watch.go", "if s.post >= len(w.posts) || w.posts[s.post].stream != s {", "if s.post >= len(w.posts) {",
		"Wake and Close wake another conn",
		kill{"./transport", "TestWakeWakesTheConnThatIsWatchedOnce", nil},
	},
	{
		"transport/watch.go", "\tw.posts[number] = post{}\n", "",
		"a conn is woken twice",
		kill{"./transport", "TestWakeWakesTheConnThatIsWatchedOnce", nil},
	},
	{
		"transport/watch.go", "\tif w.posts[number].stream != nil {", "\tif true {",
		"an empty place is freed twice, and two conns get it",
		kill{"./transport", "TestEventForAnEmptyPlaceIsIgnored", nil},
	},
	{
		"transport/watch.go", "\t_ = w.set.Close()\n\tw.mu.Lock()", "\tw.mu.Lock()",
		"the epoll set stays open",
		kill{"./transport", "TestWatchEnds", nil},
	},
	{
		"transport/watch.go", "\terr := s.bytes.Close()\n\tif w := s.watch.Load(); w != nil {\n\t\tif wake := w.relieve(s); wake != nil {\n\t\t\twake()\n\t\t}\n\t}\n\treturn err", "\treturn s.bytes.Close()",
		"Close does not wake a parked conn",
		kill{"./transport", "TestWatchWakesWhoIsClosed", nil},
	},
	{
		"transport/watch_linux.go", " | syscall.EPOLLONESHOT", "",
		"a conn that was woken wakes the next one that has its place",
		kill{"./transport", "TestConnThatWasWokenWakesNoOther", nil},
	},
	{
		"transport/watch_linux.go", "\t\tbad = syscall.EpollCtl(int(set), syscall.EPOLL_CTL_MOD, fd, &event)\n\t\tif bad == syscall.ENOENT {\n", "\t\t{\n",
		"a conn is parked once only",
		kill{"./transport", "TestPlacesAreUsedAgain", nil},
	},
	{
		"transport/watch_linux.go", "if n < len(events) && err != syscall.EINTR {", "if n <= len(events) && err != syscall.EINTR {",
		"of more than 128 events some are lost",
		kill{"./transport", "TestWatchWakesMoreConnsThanOneCallReports", nil},
	},
	{
		"transport/reader.go", "r.all = len(r.data) < cap(r.data)", "r.all = true",
		"bytes behind a read that filled its buffer are not read",
		kill{"./transport", "TestReadThatFillsItsBufferIsFollowedByAnother", nil},
	},
	{
		"transport/reader.go", "\t\tr.shrink()\n\t\tr.err = r.bookKept()", "\t\tr.err = r.bookKept()",
		"an idle conn keeps its buffer",
		kill{"./transport", "TestIdleConnHoldsNoBuffer", nil},
	},
	{
		"transport/reader.go", "\t\tr.err = r.bookKept()\n\t\treturn r.err != nil", "\t\treturn false",
		"half a frame is not booked",
		kill{"./transport", "TestHalfAFrameIsBookedWhileItsRestIsAwaited", nil},
	},
	{
		"transport/reader.go", "\tif len(r.data) == 0 {\n\t\tr.release()\n\t\t_ = r.held.Set(0)\n\t}", "\tif len(r.data) == 0 {\n\t\tr.release()\n\t}",
		"a frame stays booked after it was taken",
		kill{"./transport", "TestFrameIsNotBookedAfterItWasCopied", nil},
	},
	{
		"transport/reader.go", "if r.chunk != nil || r.sip != nil || end != len(r.data) {", "if end != len(r.data) {",
		"the caller gets an array that others use",
		kill{"./transport", "TestReceivedFramesAreTheCallers", nil},
	},
	{
		"transport/reader.go", "if r.chunk != nil || r.sip != nil || end != len(r.data) {", "if r.chunk != nil || r.sip != nil {",
		"the bytes behind a long frame are lost",
		kill{"./transport", "TestReceivedFramesAreTheCallers", nil},
	},
	{
		"transport/reader.go", "\t} else if r.array > len(chunk{}) {\n\t\tr.shrink()\n\t}", "\t}",
		"a stream without a descriptor keeps the array of a long frame",
		kill{"./transport", "TestLongFrameIsNotKeptWithoutDescriptor", nil},
	},
	{
		"transport/reader.go", "\tif err != nil {\n\t\tdouble = have + max(have/4, 2*minRead)\n\t\terr = r.held.Set(r.array + double)\n\t}\n", "",
		"an array that grows near the limit is refused",
		kill{"./transport", "TestAGrowingFrameBooksItsArrays", nil},
	},
	{
		"transport/reader.go", "\treturn r.held.Set(r.array)\n}", "\treturn nil\n}",
		"both arrays stay booked when one is left",
		kill{"./transport", "TestAfterGrowingOneArrayIsBooked", nil},
	},
	{
		"transport/send.go", "if len(s.left) > 0 || total(frames) > maxCopied {", "if total(frames) > maxCopied {",
		"Send does not write the rest of an earlier write",
		kill{"./transport", "TestTrySend", nil},
	},
	{
		"transport/send.go", "\t\tpieces = append(s.left, pieces...)\n", "",
		"the rest of an earlier write is lost",
		kill{"./transport", "TestTrySend", nil},
	},
	{
		"transport/send.go", "\t\ts.left = nil\n", "",
		"after the rest of an earlier write was sent it still counts as left",
		kill{"./transport", "TestTrySendIsRefusedOutsideOfTheCallbackAndBehindARest", nil},
	},
	{
		"transport/send.go", "\tif missing == 1 {\n\t\treturn nil // all but the last line feed: the peer has the frame, and may have left with it\n\t}\n", "",
		"a frame that was written without its line feed counts as not sent",
		kill{"./transport", "TestSendToAPeerThatLeavesBeforeTheLineFeed", nil},
	},
	{
		"transport/send.go", "\ts.gone(err) // part of a frame may have gone out\n", "",
		"a failed Send does not end the context",
		kill{"./transport", "TestSendWaits", nil},
	},
	{
		"transport/send.go", "\ts.writeEnd.follow(ctx)\n", "",
		"Send does not end with its context",
		kill{"./transport", "TestSendWaits", nil},
	},
	{
		"transport/ender.go", "if e.ctx == ctx {", "if true {",
		"a context that ended before interrupts a read with the next one",
		kill{"./transport", "TestContextThatEndedBeforeDoesNotInterruptTheNext", nil},
	},
	{
		"transport/ender.go", "ctx.Done() == nil || e.over", "ctx.Done() == nil",
		"a conn registers with a context after Close",
		kill{"./transport", "TestCloseReleasesContexts", nil},
	},
	{
		"transport/ender.go", "\t\t_ = e.set(time.Time{})\n\t\treset", "\t\treset",
		"the deadline of a context that has ended stays in force",
		kill{"./transport", "TestReceiveAfterAContextEndedWaitsAgain", nil},
	},
	{
		"transport/writer.go", "\t\t\tpieces[0] = pieces[0][n:]", "\t\t\t_ = n",
		"a part that was written in part is written again",
		kill{"./transport", "TestTrySend", nil},
	},
	{
		"transport/writer.go", "\tw.left, w.err = w.left[n:], err\n", "\tw.err = err\n\t_ = n\n",
		"bytes that were written are written again",
		kill{"./transport", "TestTrySend", nil},
	},
}
