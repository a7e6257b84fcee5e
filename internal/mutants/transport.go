package main

// transportMutants are the mutants of packages transport and internal/netfd: the read loop with its deadlines, Close, the
// poller of idle conns, and the buffers with their accounts.
var transportMutants = []mutant{
	{
		"transport/readloop.go", "l.knownEmpty = s.in.drained && l.frames > 0", "l.knownEmpty = s.in.drained",
		"the read loop waits before it reads the hang-up behind the first frame",
		kill{"./transport", "TestHangUpBehindTheFirstFrameIsReadWithoutADeadline", nil},
	},
	{
		"transport/readloop.go", "skip := l.knownEmpty && s.scan.Depth == 0", "skip := l.knownEmpty",
		"the buffer of half a frame is kept and not booked",
		kill{"./transport", "TestHalfAFrameIsBookedWhileItsRestIsAwaited", nil},
	},
	{
		"transport/readloop.go", "\tif l.ctx.Err() != nil { // the deadline above may have replaced that of the context\n\t\treturn os.ErrDeadlineExceeded\n\t}\n", "",
		"the read loop misses a context that ends while its deadline is set",
		kill{"./transport", "TestContextThatEndsWhileADeadlineIsSetEndsReading", nil},
	},
	{
		"transport/stream.go", "\tif ctx.Err() != nil { // setLimit may have replaced the deadline of the context\n\t\treturn context.Cause(ctx)\n\t}\n", "",
		"Receive misses a context that ends while its deadline is set",
		kill{"./transport", "TestContextThatEndsWhileADeadlineIsSetEndsReading", nil},
	},
	{
		"transport/stream.go", "if s.fd.InLoop() {", "if false {",
		"Close waits for the callback that runs inside the read",
		kill{"./transport", "TestCloseDuringTheCallbackDoesNotBlock", nil},
	},
	{
		"internal/netfd/poller.go", "return !c.closed.Load() || p.Remove(c) == nil", "if c.closed.Load() {\n\t\tp.Remove(c)\n\t\treturn false\n\t}\n\treturn true",
		"a conn that is closed behind Add is woken and refused",
		kill{"./internal/netfd", "TestCloseBehindAddWakesOnce", nil},
	},
	{
		"internal/netfd/poller.go", "return p.register(c, wake) && p.openOrWoken(c)", "return p.register(c, wake)",
		"a conn that was closed before Add is added",
		kill{"./internal/netfd", "TestAddRefusesAClosedConn", nil},
	},
	{
		"transport/readloop.go", "if !skip && l.ctx.Err() != nil {", "if false {",
		"the read loop does not look at the context between two reads",
		kill{"./transport", "TestLoopEndsWithItsContextWhileThePeerNeverPauses", nil},
	},
	{
		"transport/readloop.go", "idle := l.idleMark == l.frames", "idle := true",
		"a conn that received a frame since the deadline was set counts as idle",
		kill{"./transport", "TestConnThatReceivedFramesIsIdleOnlyAfterAnotherTime", nil},
	},
	{
		"transport/readloop.go", "l.active = true // also after blanks only: the conn was woken by them, and may become Idle again", "",
		"a conn that receives only white space is never idle again",
		kill{"./transport", "TestLoopReturnsIdleAfterBlanksAndBufferedFrames", nil},
	},
	{
		"transport/readloop.go", "\t\t\tl.frames++\n\t\t\tl.active = true\n", "\t\t\tl.frames++\n",
		"a conn that receives only frames of an earlier read is never idle",
		kill{"./transport", "TestLoopReturnsIdleAfterBlanksAndBufferedFrames", nil},
	},
	{
		"transport/readloop.go", "\t\t\t\t\tl.active = false\n", "",
		"the loop returns again and again for a conn that stays idle",
		kill{"./transport", "TestLoopReturnsIdleOnceForASilentPeer", nil},
	},
	{
		"transport/readloop.go", "case s.hasLimit() || !l.active:", "case !l.active:",
		"a frame that has begun has no deadline in the read loop",
		kill{"./transport", "TestLoopKeepsTheTimeLimits", nil},
	},
	{
		"transport/readloop.go", "case s.hasLimit() || !l.active:", "case s.hasLimit():",
		"a conn that has received nothing counts as idle",
		kill{"./transport", "TestLoopReturnsIdleOnceForASilentPeer", nil},
	},
	{
		"transport/send.go", "|| len(s.rest) > 0 {", "{",
		"frames are written before the rest of earlier ones",
		kill{"./transport", "TestTryWriteIsRefusedOutsideOfTheCallbackAndBehindARest", nil},
	},
	{
		"transport/send.go", "\tif !s.fd.InLoop() ||", "\tif",
		"a write without blocking is tried outside of the callback",
		kill{"./transport", "TestTryWriteIsRefusedWithoutDescriptorOrCallback", nil},
	},
	{
		"transport/send.go", "\tif s.rest, err = s.fd.TryWriteBuffers(buffers); err != nil {\n\t\ts.cancel(err)\n\t}", "\ts.rest, err = s.fd.TryWriteBuffers(buffers)",
		"a failed write of parts does not end the context",
		kill{"./transport", "TestTryWritePartsToAClosedPeerEndsTheContext", nil},
	},
	{
		"transport/send.go", "\tif err != nil {\n\t\ts.cancel(err)\n\t}\n\treturn written, err", "\treturn written, err",
		"a failed write of frames does not end the context",
		kill{"./transport", "TestTryWriteToAClosedPeerEndsTheContext", nil},
	},
	{
		"transport/send.go", "net.Buffers{slices.Clone(lines[n:])}", "net.Buffers{slices.Clip(lines[n:])}",
		"the rest of a write lies in a buffer that others use",
		kill{"./transport", "TestTryWriteIsRefusedOutsideOfTheCallbackAndBehindARest", nil},
	},
	{
		"internal/netfd/conn.go", "\tc.inLoop.Store(false)\n", "",
		"the descriptor counts as in use after the read loop has returned",
		kill{"./transport", "TestTryWriteIsRefusedOutsideOfTheCallbackAndBehindARest", nil},
	},
	{
		"transport/readloop.go", "\t\t\tl.knownEmpty = false\n\t\t\tl.err = s.setWaitDeadline()", "\t\t\tl.err = s.setWaitDeadline()",
		"no read follows the wait",
		kill{"./transport", "TestLoopEndsWithItsContext", nil},
	},
	{
		"transport/readloop.go", "l.ctx, l.onFrame, l.stopped, l.err, l.knownEmpty = ctx, onFrame, false, nil, false", "l.ctx, l.onFrame, l.stopped, l.err = ctx, onFrame, false, nil",
		"bytes that came between two loops are not read",
		kill{"./transport", "TestLoopReadsBytesThatCameBetweenTwoCalls", nil},
	},
	{
		"transport/readloop.go", "\t\t\tif err == nil {\n\t\t\t\terr = l.err\n\t\t\t}\n", "",
		"the error of a read is lost",
		kill{"./transport", "TestLoopPassesEachFrameUntilStopped", nil},
	},
	{
		"transport/readloop.go", "ctx.Err() == nil && !s.fd.Closed() {", "ctx.Err() == nil {",
		"a conn whose Close interrupts the read counts as idle",
		kill{"./transport", "TestCloseThatInterruptsAReadIsNotIdle", nil},
	},
	{
		"transport/readloop.go", "errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil &&", "errors.Is(err, os.ErrDeadlineExceeded) &&",
		"a conn whose context has ended counts as idle",
		kill{"./transport", "TestContextThatInterruptsAReadIsNotIdle", nil},
	},
	{
		"transport/stream.go", "\ts.loop.idleMark = -1\n", "",
		"the deadline of an idle conn, which Receive has taken back, counts as set",
		kill{"./transport", "TestLoopReturnsIdleAfterBlanksAndBufferedFrames", nil},
	},
	{
		"transport/stream.go", "\tif s.readEnd.Watch(ctx) {\n\t\ts.deadline = time.Time{}\n\t}", "\ts.readEnd.Watch(ctx)",
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
		"transport/stream.go", "\t_ = s.in.booked.Set(0)\n\treturn err", "\treturn err",
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
		"transport/stream.go", "\ts.cancel(net.ErrClosed)\n", "",
		"Close does not end the context",
		kill{"./transport", "TestCloseDuringTheCallbackDoesNotBlock", nil},
	},
	{
		"transport/stream.go", "\tdefer s.in.booked.Close()\n", "",
		"Close does not return the booked bytes",
		kill{"./transport", "TestHalfAFrameIsBookedWhileItsRestIsAwaited", nil},
	},
	{
		"transport/stream.go", "\tdefer s.writeEnd.Close()\n", "",
		"a closed conn stays registered with the context of Send",
		kill{"./transport", "TestCloseReleasesContexts", nil},
	},
	{
		"transport/stream.go", "\tdefer s.readEnd.Close()\n", "",
		"a closed conn stays registered with the context of Receive",
		kill{"./transport", "TestCloseReleasesContexts", nil},
	},
	{
		"transport/stream.go", "\tif ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {\n\t\treturn context.Cause(ctx)\n\t}\n", "",
		"the end of a context is a timeout of the peer",
		kill{"./transport", "TestReceiveAfterAContextEndedWaitsAgain", nil},
	},
	{
		"transport/stream.go", "_, s.writesFD = b.(net.Conn)", "s.writesFD = true",
		"frames are written to the descriptor that is read",
		kill{"./transport", "TestTwoDescriptors", nil},
	},
	{
		"transport/readloop.go", "if !s.fd.HasDescriptor() || len(s.in.data) > 0 {", "if !s.fd.HasDescriptor() {",
		"a conn with buffered bytes is parked",
		kill{"./transport", "TestConnWithBufferedBytesIsNotParked", nil},
	},
	{
		"transport/readloop.go", "\ts.discardFrame()\n\tif !s.fd", "\tif !s.fd",
		"a conn whose last frame was not discarded is never parked",
		kill{"./transport", "TestParkTakesTheLastFrameAndReleasesTheContext", nil},
	},
	{
		"transport/readloop.go", "\ts.readEnd.Watch(context.Background()) // the Poller has a context for all its conns\n", "",
		"a parked conn stays registered with its context",
		kill{"./transport", "TestParkTakesTheLastFrameAndReleasesTheContext", nil},
	},
	{
		"internal/netfd/poller.go", "\tif err != nil || armErr != nil {\n\t\tp.freeLocked(slot)", "\tif err != nil || armErr != nil {",
		"a descriptor that cannot be added takes a place",
		kill{"./internal/netfd", "TestAddThatFailsTakesNoRegistration", nil},
	},
	{
		"internal/netfd/poller.go", "if n := len(p.free); n > 0 {", "if n := len(p.free); false {",
		"the places of conns that were woken are not used again",
		kill{"./internal/netfd", "TestRegistrationsAreUsedAgain", nil},
	},
	{
		"internal/netfd/poller.go", "if c.slot >= len(p.registrations) || p.registrations[c.slot].conn != c {", "if c.slot >= len(p.registrations) {",
		"Wake and Close wake another conn",
		kill{"./internal/netfd", "TestWakeWakesAParkedConnOnce", nil},
	},
	{
		"internal/netfd/poller.go", "\tp.registrations[slot] = registration{}\n", "",
		"a conn is woken twice",
		kill{"./internal/netfd", "TestWakeWakesAParkedConnOnce", nil},
	},
	{
		"internal/netfd/poller.go", "\tif p.registrations[slot].conn != nil {", "\tif true {",
		"an empty place is freed twice, and two conns get it",
		kill{"./internal/netfd", "TestEventForAFreeRegistrationIsIgnored", nil},
	},
	{
		"internal/netfd/poller.go", "\t_ = p.set.Close()\n\tp.mu.Lock()", "\tp.mu.Lock()",
		"the epoll set stays open",
		kill{"./internal/netfd", "TestEndOfRunWakesAllAndRefusesMore", nil},
	},
	{
		"transport/stream.go", "\ts.fd.WakeParked()\n", "",
		"Close does not wake a parked conn",
		kill{"./transport", "TestUnparkAndCloseWakeAParkedConn", nil},
	},
	{
		"internal/netfd/poller_linux.go", " | syscall.EPOLLONESHOT", "",
		"a conn that was woken wakes the next one that has its place",
		kill{"./internal/netfd", "TestConnThatWasWokenWakesNoOther", nil},
	},
	{
		"internal/netfd/poller_linux.go", "\t\tctlErr = syscall.EpollCtl(int(set), syscall.EPOLL_CTL_MOD, fd, &event)\n\t\tif ctlErr == syscall.ENOENT {\n", "\t\t{\n",
		"a conn is parked once only",
		kill{"./internal/netfd", "TestRegistrationsAreUsedAgain", nil},
	},
	{
		"internal/netfd/poller_linux.go", "if n < len(events) && err != syscall.EINTR {", "if n <= len(events) && err != syscall.EINTR {",
		"of more than 128 events some are lost",
		kill{"./internal/netfd", "TestMoreEventsThanOneCallReportsWakeAllConns", nil},
	},
	{
		"internal/netfd/conn.go", "shortReadDrains && n < len(p), err", "shortReadDrains, err",
		"bytes behind a read that filled its buffer are not read",
		kill{"./transport", "TestReadThatFillsItsBufferIsFollowedByAnother", nil},
	},
	{
		"transport/readbuffer.go", "\t\tr.shrink()\n\t\tr.err = r.bookKept()", "\t\tr.err = r.bookKept()",
		"an idle conn keeps its buffer",
		kill{"./transport", "TestIdleConnHoldsNoBuffer", nil},
	},
	{
		"transport/readbuffer.go", "\t\tr.err = r.bookKept()\n\t\treturn r.err != nil", "\t\treturn false",
		"half a frame is not booked",
		kill{"./transport", "TestHalfAFrameIsBookedWhileItsRestIsAwaited", nil},
	},
	{
		"transport/readbuffer.go", "\tif len(r.data) == 0 {\n\t\tr.release()\n\t\t_ = r.booked.Set(0)\n\t}", "\tif len(r.data) == 0 {\n\t\tr.release()\n\t}",
		"a frame stays booked after it was taken",
		kill{"./transport", "TestFrameIsNotBookedAfterItWasCopied", nil},
	},
	{
		"transport/readbuffer.go", "if r.large != nil || r.small != nil || end != len(r.data) {", "if end != len(r.data) {",
		"the caller gets an array that others use",
		kill{"./transport", "TestReceivedFramesAreTheCallers", nil},
	},
	{
		"transport/readbuffer.go", "if r.large != nil || r.small != nil || end != len(r.data) {", "if r.large != nil || r.small != nil {",
		"the bytes behind a long frame are lost",
		kill{"./transport", "TestReceivedFramesAreTheCallers", nil},
	},
	{
		"transport/readbuffer.go", "\t} else if r.arraySize > len(largeBuf{}) {\n\t\tr.shrink()\n\t}", "\t}",
		"a stream without a descriptor keeps the array of a long frame",
		kill{"./transport", "TestLongFrameIsNotKeptWithoutDescriptor", nil},
	},
	{
		"transport/readbuffer.go", "\tif err != nil {\n\t\tdouble = have + max(have/4, 2*minRead)\n\t\terr = r.booked.Set(r.arraySize + double)\n\t}\n", "",
		"an array that grows near the limit is refused",
		kill{"./transport", "TestAGrowingFrameBooksItsArrays", nil},
	},
	{
		"transport/readbuffer.go", "\treturn r.booked.Set(r.arraySize)\n}", "\treturn nil\n}",
		"both arrays stay booked when one is left",
		kill{"./transport", "TestAfterGrowingOneArrayIsBooked", nil},
	},
	{
		"transport/send.go", "if len(s.rest) > 0 || lineLength(frames) > maxCopied {", "if lineLength(frames) > maxCopied {",
		"Send does not write the rest of an earlier write",
		kill{"./transport", "TestRestOfATryWriteIsSentWithTheNextSend", nil},
	},
	{
		"transport/send.go", "\t\tbuffers = append(s.rest, buffers...)\n", "",
		"the rest of an earlier write is lost",
		kill{"./transport", "TestRestOfATryWriteIsSentWithTheNextSend", nil},
	},
	{
		"transport/send.go", "\t\ts.rest = nil\n", "",
		"after the rest of an earlier write was sent it still counts as left",
		kill{"./transport", "TestTryWriteIsRefusedOutsideOfTheCallbackAndBehindARest", nil},
	},
	{
		"transport/send.go", "\tif missing == 1 {\n\t\treturn nil // all but the last line feed: the peer has the frame, and may have hung up after it\n\t}\n", "",
		"a frame that was written without its line feed counts as not sent",
		kill{"./transport", "TestSendToAPeerThatLeavesBeforeTheLineFeed", nil},
	},
	{
		"transport/send.go", "\ts.cancel(err) // part of a frame may have been written\n", "",
		"a failed Send does not end the context",
		kill{"./transport", "TestSendWaits", nil},
	},
	{
		"transport/send.go", "\ts.writeEnd.Watch(ctx)\n", "",
		"Send does not end with its context",
		kill{"./transport", "TestSendWaits", nil},
	},
	{
		"internal/ctxio/ctxio.go", "if d.ctx == ctx {", "if true {",
		"a context that ended before interrupts a read with the next one",
		kill{"./internal/ctxio", "TestEndOfTheContextBeforeSetsNoDeadline", nil},
	},
	{
		"internal/ctxio/ctxio.go", "ctx.Done() == nil || d.closed", "ctx.Done() == nil",
		"a conn registers with a context after Close",
		kill{"./transport", "TestCloseReleasesContexts", nil},
	},
	{
		"internal/ctxio/ctxio.go", "\t\t_ = d.Set(time.Time{})\n\t\treset", "\t\treset",
		"the deadline of a context that has ended stays in force",
		kill{"./transport", "TestReceiveAfterAContextEndedWaitsAgain", nil},
	},
	{
		"internal/netfd/conn.go", "\t\t\tbuffers[0] = buffers[0][n:]", "\t\t\t_ = n",
		"a part that was written in part is written again",
		kill{"./transport", "TestRestOfATryWriteIsSentWithTheNextSend", nil},
	},
	{
		"internal/netfd/conn.go", "\tc.rest, c.writeErr = c.rest[n:], err\n", "\tc.writeErr = err\n\t_ = n\n",
		"bytes that were written are written again",
		kill{"./transport", "TestRestOfATryWriteIsSentWithTheNextSend", nil},
	},
}
