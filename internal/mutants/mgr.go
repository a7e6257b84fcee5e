package main

// mgrMutants are the mutants of package mgr. They change which goroutine reads a conn, which one writes its replies, and
// which one is woken.
var mgrMutants = []mutant{
	{
		"mgr/answer.go", "if send && (c.closing || c.settling) {", "if send && c.closing {",
		"the writer pool takes replies for which the reader waits",
		kill{"./mgr", "TestReaderWritesRepliesToItsBatch", nil},
	},
	{
		"mgr/answer.go", "c.sending, c.writing = false, false", "c.sending = false",
		"a stale timer starts a second reader, since the conn still counts as being written to",
		kill{"./mgr", "TestStaleTimerDetachesNoReader", nil},
	},
	{
		"mgr/answer.go", "	if c.full {\n		c.changed.Broadcast()\n	}\n	batch := c.out", "	batch := c.out",
		"the reader that waits for the window is not woken when replies are taken to be written",
		kill{"./mgr", "TestWindowOpensWhenRepliesAreTakenToWrite", nil},
	},
	{
		"mgr/answer.go", "send := !c.sending && len(c.out) > 0\n	if", "send := len(c.out) > 0\n	if",
		"two writers write to one conn",
		kill{"./mgr", "TestReaderReadsOnWhenThePeerDoesNotRead", nil},
	},
	{
		"mgr/answer.go", "	if c.owed == 0 && c.last != nil {", "	if c.last != nil {",
		"the reply to the last request overtakes earlier ones",
		kill{"./mgr", "TestConversations", nil},
	},
	{
		"mgr/settle.go", "case c.by != own:", "case false:",
		"a stale timer of another conn's reader is obeyed",
		kill{"./mgr", "TestNobodyIsRelievedOfAnothersTurn", nil},
	},
	{
		"mgr/settle.go", "		c.own = nil // what the other has is its own\n", "",
		"two readers share one scratch",
		kill{"./mgr", "TestReaderReadsOnWhenThePeerDoesNotRead", []string{"-race", "-count=20"}},
	},
	{
		"mgr/settle.go", "own.last = c.ended && c.owed == 0 && len(c.out) == 0", "own.last = c.ended",
		"the conn is closed before the last reply is written",
		kill{"./mgr", "TestConversations", []string{"-count=5"}},
	},
	{
		"mgr/settle.go", "own.last = c.ended && c.owed == 0 && len(c.out) == 0", "own.last = false",
		"the conn stays open while the Observer is told of its last reply",
		kill{"./mgr", "TestSlowObserverDelaysNoClose", nil},
	},
	{
		"mgr/settle.go", "	own.watch(c, own.heard.Add(readsOn))\n	defer own.ease()\n	c.mu.Lock()", "	c.mu.Lock()",
		"the reader waits for the loop without a deadline",
		kill{"./mgr", "TestReaderReadsOnWhenTheLoopIsSlow", nil},
	},
	{
		"mgr/senders.go", "w.conn, w.step, w.stepEnd = c, s, time.Now().Add(timeout)", "w.conn, w.step, w.stepEnd = c, s, w.stepEnd.Add(timeout)",
		"the time limit of a write does not begin with the write",
		kill{"./mgr", "TestStallOfTheDaemonDoesNotCloseConnOfReadingPeer", nil},
	},
	{
		"mgr/senders.go", "		if s.next < len(s.ready) {\n			s.ensure()\n		}\n", "",
		"no second writer is started, and one blocked peer delays the others",
		kill{"./mgr", "TestBlockedPeerDelaysNoOtherConn", []string{"-cpu=1"}},
	},
	{
		"mgr/senders.go", "if !w.firesAt.IsZero() && !at.Before(w.firesAt) {", "if !w.firesAt.IsZero() {",
		"an earlier deadline does not move the timer",
		kill{"./mgr", "TestReaderReadsOnWhenTheLoopIsSlow|TestReaderReadsOnWhenThePeerDoesNotRead|TestReaderIsReplacedWhenItsSecondWriteBlocks", nil},
	},
	{
		"mgr/senders.go", "		w.stepEnd = time.Time{} // once is enough\n", "",
		"a stalled step is reported again and again",
		kill{"./mgr", "TestStallOfTheDaemonDoesNotCloseConnOfReadingPeer", nil},
	},
	{
		"mgr/inflight.go", "c.settling, c.by = !c.sending && c.awaited == 0, &c.own.sender", "c.settling, c.by = !c.sending, &c.own.sender",
		"the reader waits for the loop though calls of an earlier batch wait for it",
		kill{"./mgr", "TestReaderDoesNotWaitForTheLoopTwice", nil},
	},
	{
		"mgr/inflight.go", "	if c.full {\n		c.changed.Broadcast()\n	}\n	last :=", "	last :=",
		"the reader that waits for the window is not woken when a handler returns after its answer",
		kill{"./mgr", "TestWindowOpensWhenAnAbandonedHandlerReturns", nil},
	},
	{
		"mgr/inflight.go", "	c.watch()\n	gone", "	gone",
		"the departure of a peer whose last command runs beside the loop is not noticed",
		kill{"./mgr", "TestDepartureEndsContextOfAsyncCommand", nil},
	},
	{
		"mgr/conversation.go", "call.target.Async && !call.target.critical", "call.target.Async",
		"the reader waits for the participants of the critical section",
		kill{"./mgr", "TestCriticalCommandBlocksQueueAndNotLoop|TestCriticalTimeoutCanBeChangedAndRemoved|TestRefusedCriticalCommandNamesParticipant|TestWaitingCriticalCallEndsWithItsCaller|TestManyCriticalCommandsAreAnsweredInOrder", nil},
	},
}
