// Package transporttest tests that a transport keeps the contract of package transport.
//
// Add this test to the package of the transport:
//
//	func TestConformance(t *testing.T) {
//		transporttest.Test(t, func(t testing.TB) transporttest.Pair {
//			p := &pipe.Transport{MaxFrame: 1 << 20}
//			return transporttest.Pair{Transport: p, Dialer: p}
//		}, transporttest.Config{MaxFrame: 1 << 20})
//	}
//
// The [Config] lists the optional features of the transport: it closes the writing half, takes bytes in pieces, notices
// that a peer has closed. The suite tests the features that are listed, and calls no t.Skip: the subtests that run are the
// features that hold. It tests the fast path of conns that have one (transport.Stream.Fast), and Receive and Send of all.
//
// The suite uses the standard library only. It counts goroutines and descriptors, so no other test may run at the same
// time: do not call t.Parallel.
package transporttest
