package transporttest

import (
	"testing"

	"github.com/rudderpost/rudderpost/transport"
)

// Test runs the suite against the transports that newPair makes.
func Test(t *testing.T, newPair func(t testing.TB) Pair, cfg Config) {
	t.Helper()
	if cfg.MaxFrame == 0 {
		cfg.MaxFrame = transport.DefaultMaxFrame
	}
	t.Run("WarmUp", func(t *testing.T) { // a descriptor that the process opens once and keeps is no leak
		newPlace(t, newPair, cfg).exchange([]byte("{}"))
	})
	for _, group := range groups {
		if !group.when(cfg) {
			continue
		}
		for _, test := range group.tests {
			t.Run(test.name, func(t *testing.T) {
				watchLeaks(t)
				test.run(newPlace(t, newPair, cfg))
			})
		}
	}
}

// A group has the tests for a feature of a transport.
type group struct {
	when  func(Config) bool
	tests []test
}

type test struct {
	name string
	run  func(p *place)
}

var groups = []group{
	{func(Config) bool { return true }, []test{
		{"Echo", echo},
		{"EchoOwnership", ownership},
		{"ManyConns", manyConns},
		{"Identity", identity},
		{"Addr", address},
		{"AcceptWithEndedContext", acceptEnded},
		{"AcceptCancelled", acceptCancelled},
		{"ListenerClose", listenerClose},
		{"ListenerCloseKeepsConns", listenerKeepsConns},
		{"ListenAgain", listenAgain},
		{"DialWithEndedContext", dialEnded},
		{"SilentPeers", silentPeers},
		{"CloseTwice", closeTwice},
		{"AfterClose", afterClose},
	}},
	{func(c Config) bool { return c.OneShot }, []test{
		{"OneShot", oneShot},
	}},
	{func(c Config) bool { return !c.OneShot }, []test{
		{"Pipelining", pipelining},
		{"FastPath", fastPath},
		{"PlainPath", plainPath},
		{"ManyFramesInOneSend", manyFrames},
		{"SendOfNothing", sendNothing},
		{"Load", load},
		{"ReceiveAppends", receiveAppends},
		{"ReceiveWithEndedContext", receiveEnded},
		{"ReceiveCancelled", receiveCancelled},
		{"SendWithEndedContext", sendEnded},
		{"SlowReaderCancelled", slowReaderCancelled},
		{"SlowReaderClosed", slowReaderClosed},
		{"CloseUnblocksReceive", closeUnblocksReceive},
		{"CloseDelivers", closeDelivers},
		{"PeerGone", peerGone},
		{"ListenerCloseDropsWaiting", listenerDropsWaiting},
		{"TooLarge", tooLarge},
	}},
	{func(c Config) bool { return c.HalfClose != nil && !c.OneShot }, []test{
		{"HalfClose", halfClose},
		{"HalfCloseAtOnce", halfCloseAtOnce},
	}},
	{func(c Config) bool { return c.Raw != nil }, []test{
		{"Glued", glued},
		{"SplitEverywhere", split},
		{"ByteByByte", byteByByte},
		{"WhiteSpaceAndComments", comments},
		{"FrameAlreadyHere", alreadyHere},
		{"ReceiveCancelledInsideFrame", cancelledInsideFrame},
		{"BadFirstByte", badFirstByte},
		{"BadComment", badComment},
		{"TooLargeForEver", endless},
		{"CutOff", cutOff},
	}},
}
