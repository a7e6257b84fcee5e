package transporttest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/transport/transporttest"
)

// A transport shows in its own test that it keeps the contract.
func Example() {
	newPair := func(testing.TB) transporttest.Pair {
		p := &pipe.Transport{MaxFrame: 1 << 20}
		return transporttest.Pair{Transport: p, Dialer: p}
	}
	testConformance := func(t *testing.T) { // as TestConformance in a file of the transport's package
		transporttest.Test(t, newPair, transporttest.Config{MaxFrame: 1 << 20, Departs: true})
	}
	_ = testConformance

	pair := newPair(nil) // each subtest starts with a place of its own
	listener, err := pair.Transport.Listen(context.Background())
	if err != nil {
		panic(err)
	}
	defer func() { _ = listener.Close() }()
	fmt.Println(listener.Addr())
	// Output: pipe
}
