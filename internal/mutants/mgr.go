package main

// mgrMutants are the mutants of package mgr. They change which goroutine reads a conn, which one writes its replies, and
// which one is woken. Each transition of a conn is left out once.
var mgrMutants = []mutant{
	{
		"mgr/outbox.go", "	case c.state == stateAwaiting:\n		return false\n	}", "	}",
		"the writer pool takes replies for which the reader waits",
		kill{"./mgr", "TestReaderWritesRepliesToItsBatch", nil},
	},
	{
		"mgr/outbox.go", "case c.state == stateClosing, c.state == stateAwaiting && c.pendingOnLoop == 0:", "case c.state == stateClosing:",
		"the reader is not woken when the loop has answered its batch",
		kill{"./mgr", "TestReaderWritesRepliesToItsBatch", nil},
	},
	{
		"mgr/outbox.go", "	if c.state == stateWriting {\n		c.changeLocked(writeEnds)\n	}\n", "",
		"transition writeEnds is left out",
		kill{"./mgr", "TestConnTransitions", nil},
	},
	{
		"mgr/outbox.go", "	if c.windowFull {\n		c.changed.Broadcast()\n	}\n	batch := o.waiting", "	batch := o.waiting",
		"the reader that waits for the window is not woken when replies are taken to be written",
		kill{"./mgr", "TestWindowOpensWhenRepliesAreTakenToWrite", nil},
	},
	{
		"mgr/outbox.go", "	if o.writer != noWriter || len(o.waiting) == 0 {\n		return false", "	if len(o.waiting) == 0 {\n		return false",
		"two writers write to one conn",
		kill{"./mgr", "TestReaderReadsOnWhenThePeerDoesNotRead", nil},
	},
	{
		"mgr/outbox.go", "if unanswered == 0 && o.last != nil {", "if o.last != nil {",
		"the reply to the last request overtakes earlier ones",
		kill{"./mgr", "TestConversations", nil},
	},
	{
		"mgr/outbox.go", "		o.changeLocked(c, poolDone)\n		return nil, false", "		return nil, false",
		"transition poolDone is left out",
		kill{"./mgr", "TestConnTransitions", nil},
	},
	{
		"mgr/outbox.go", "	o.changeLocked(c, readerDone)\n", "",
		"transition readerDone is left out",
		kill{"./mgr", "TestConnTransitions", nil},
	},
	{
		"mgr/outbox.go", "	o.changeLocked(c, poolTakes)\n", "",
		"transition poolTakes is left out",
		kill{"./mgr", "TestConnTransitions", nil},
	},
	{
		"mgr/outbox.go", "	for s.waiting > 0 && s.waiting+n > maxStreamBytes && ctx.Err() == nil {\n		c.changed.Wait()\n	}\n", "",
		"a stream has no bound",
		kill{"./mgr", "TestStreamOfSlowPeerBlocksOnlyItsHandler", nil},
	},
	{
		"mgr/outbox.go", "if err == nil && call.state.Load() == answered {", "if false {",
		"replies of a stream follow its final reply",
		kill{"./mgr", "TestStreamSendsNothingAfterItsFinalReply", nil},
	},
	{
		"mgr/outbox.go", "return len(o.waiting) - int(o.parts)", "return len(o.waiting)",
		"the replies of a stream fill the window",
		kill{"./mgr", "TestStreamOfSlowPeerBlocksOnlyItsHandler", nil},
	},
	{
		"mgr/conn.go", "	if lease != c.lease {\n		return\n	}\n", "",
		"the timer of an earlier wait is obeyed",
		kill{"./mgr", "TestTimerOfEarlierWaitChangesNothing", nil},
	},
	{
		"mgr/conn.go", "		c.lease++\n		lease := c.lease\n		c.mu.Unlock()", "		lease := c.lease\n		c.mu.Unlock()",
		"a wait for the loop has the lease of the wait before",
		kill{"./mgr", "TestEachWaitHasALease", nil},
	},
	{
		"mgr/conn.go", "	c.changeLocked(writeBegins)\n	c.lease++\n", "	c.changeLocked(writeBegins)\n",
		"a wait for the peer has the lease of the wait before",
		kill{"./mgr", "TestEachWaitHasALease", nil},
	},
	{
		"mgr/conn.go", "		c.worker = nil // the present reader keeps its worker; the new one takes another\n", "",
		"two readers share one worker",
		kill{"./mgr", "TestConnTransitions", nil},
	},
	{
		"mgr/conn.go", "w.closeAfterWrite = c.readEnded && c.unanswered == 0 && len(c.outbox.waiting) == 0", "w.closeAfterWrite = c.readEnded",
		"the conn is closed before the last reply is written",
		kill{"./mgr", "TestConnStaysOpenUntilItsLastReplyIsWritten", nil},
	},
	{
		"mgr/conn.go", "w.closeAfterWrite = c.readEnded && c.unanswered == 0 && len(c.outbox.waiting) == 0", "w.closeAfterWrite = false",
		"the conn stays open while the Observer is told of its last reply",
		kill{"./mgr", "TestSlowObserverDelaysNoClose", nil},
	},
	{
		"mgr/conn.go", "		w.startDeadline(c, lease, w.received.Add(maxReplyWait))\n		defer w.stopDeadline()\n", "		_ = lease\n",
		"the reader waits for the loop without a deadline",
		kill{"./mgr", "TestReaderReadsOnWhenTheLoopIsSlow", nil},
	},
	{
		"mgr/conn.go", "if c.outbox.writer == noWriter && c.pendingOnLoop == 0 {", "if c.outbox.writer == noWriter {",
		"the reader waits for the loop though calls of an earlier batch wait for it",
		kill{"./mgr", "TestReaderDoesNotWaitForTheLoopTwice", nil},
	},
	{
		"mgr/conn.go", "	if c.windowFull {\n		c.changed.Broadcast()\n	}\n	last :=", "	last :=",
		"the reader that waits for the window is not woken when a handler returns after its answer",
		kill{"./mgr", "TestWindowOpensWhenAnAbandonedHandlerReturns", nil},
	},
	{
		"mgr/conn.go", "	c.awaitDeparture()\n	gone", "	gone",
		"the departure of a peer whose last command runs off the loop is not noticed",
		kill{"./mgr", "TestDepartureEndsContextOfAsyncCommand", nil},
	},
	{
		"mgr/conn.go", "!call.target.Async && !call.target.critical", "!call.target.Async",
		"the reader waits for the participants of the critical section",
		kill{"./mgr", "TestCriticalCommandBlocksQueueAndNotLoop|TestCriticalTimeoutCanBeChangedAndRemoved|TestRefusedCriticalCommandNamesParticipant|TestWaitingCriticalCallEndsWithItsCaller|TestManyCriticalCommandsAreAnsweredInOrder", nil},
	},
	{
		"mgr/conn.go", "				c.changeLocked(batchBegins)\n", "",
		"transition batchBegins is left out",
		kill{"./mgr", "TestConnTransitions", nil},
	},
	{
		"mgr/conn.go", "	c.changeLocked(batchAnswered)\n", "",
		"transition batchAnswered is left out",
		kill{"./mgr", "TestConnTransitions", nil},
	},
	{
		"mgr/conn.go", "		c.changeLocked(replyWaitEnds)\n", "",
		"transition replyWaitEnds is left out",
		kill{"./mgr", "TestConnTransitions", nil},
	},
	{
		"mgr/conn.go", "	c.changeLocked(writeBegins)\n", "",
		"transition writeBegins is left out",
		kill{"./mgr", "TestConnTransitions", nil},
	},
	{
		"mgr/conn.go", "		c.changeLocked(readerDetached)\n", "",
		"transition readerDetached is left out",
		kill{"./mgr", "TestConnTransitions", nil},
	},
	{
		"mgr/conn.go", "		c.outbox.changeLocked(c, poolKeeps)\n", "",
		"transition poolKeeps is left out",
		kill{"./mgr", "TestConnTransitions", nil},
	},
	{
		"mgr/conn.go", "	c.changeLocked(connParked)\n", "",
		"transition connParked is left out",
		kill{"./mgr", "TestConnTransitions", nil},
	},
	{
		"mgr/conn.go", "		c.changeLocked(connNotParked)\n", "",
		"transition connNotParked is left out",
		kill{"./mgr", "TestConnTransitions", nil},
	},
	{
		"mgr/conn.go", "	c.changeLocked(connUnparked)\n", "",
		"transition connUnparked is left out",
		kill{"./mgr", "TestConnTransitions", nil},
	},
	{
		"mgr/conn.go", "	c.changeLocked(closeBegins)\n", "",
		"transition closeBegins is left out",
		kill{"./mgr", "TestConnTransitions", nil},
	},
	{
		"mgr/conn.go", "	c.changeLocked(closeEnds)\n", "",
		"transition closeEnds is left out",
		kill{"./mgr", "TestConnTransitions", nil},
	},
	{
		"mgr/worker.go", "w.conn, w.step, w.stepEnd = c, s, time.Now().Add(timeout)", "w.conn, w.step, w.stepEnd = c, s, w.stepEnd.Add(timeout)",
		"the time limit of a write does not begin with the write",
		kill{"./mgr", "TestStallOfTheDaemonDoesNotCloseConnOfReadingPeer", nil},
	},
	{
		"mgr/worker.go", "if !w.timerFires.IsZero() && !at.Before(w.timerFires) {", "if !w.timerFires.IsZero() {",
		"an earlier deadline does not move the timer",
		kill{"./mgr", "TestReaderReadsOnWhenTheLoopIsSlow|TestReaderReadsOnWhenThePeerDoesNotRead|TestReaderIsReplacedWhenItsSecondWriteBlocks", nil},
	},
	{
		"mgr/worker.go", "		w.stepEnd = time.Time{} // once is enough\n", "",
		"a stalled step is reported again and again",
		kill{"./mgr", "TestStallOfTheDaemonDoesNotCloseConnOfReadingPeer", nil},
	},
	{
		"mgr/pool.go", "		if p.next < len(p.tasks) {\n			p.searchLocked()\n		}\n", "",
		"no second writer is started, and one blocked peer delays the others",
		kill{"./mgr", "TestBlockedPeerDelaysNoOtherConn", []string{"-cpu=1"}},
	},
	{
		"mgr/pool.go", "p.closed || p.idle >= p.maxIdle", "p.closed",
		"idle goroutines of a pool are never ended",
		kill{"./mgr", "TestPoolKeepsAFewIdleGoroutines", nil},
	},
	{
		"mgr/pool.go", "	p.searching += p.idle\n	p.idle = 0\n	p.wake.Broadcast()\n", "",
		"close of a pool does not end its idle goroutines",
		kill{"./mgr", "TestPoolKeepsAFewIdleGoroutines", nil},
	},
}
