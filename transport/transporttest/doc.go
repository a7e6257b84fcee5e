// Package transporttest proves that a transport keeps the contract of package transport.
//
// A transport is tested by one line in a test of its own package:
//
//	func TestConformance(t *testing.T) {
//		transporttest.Test(t, func(t testing.TB) transporttest.Pair {
//			p := &pipe.Transport{MaxFrame: 1 << 20}
//			return transporttest.Pair{Transport: p, Dialer: p}
//		}, transporttest.Config{MaxFrame: 1 << 20})
//	}
//
// The [Config] says what the transport can do beyond moving frames: half-close, take bytes in
// pieces, notice that a peer has left. What it does not claim is not tested, and nothing is skipped
// in silence: the subtests that run are the claim.
//
// The suite needs nothing but the standard library. It counts goroutines and descriptors, so nothing
// else may run beside it: do not call t.Parallel.
package transporttest
