package rudderpost_test

import (
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

const turns = 9 // of each contestant in a measurement; odd, since the one in the middle counts

// A contestant makes n round trips on each of its conns, and says how long that took.
type contestant func(n int) time.Duration

// A floor is what a contestant is compared with, and the name of the ratio of their rates.
type floor struct {
	metric string
	run    contestant
}

// compare runs b.N round trips with each contestant, in turns, and reports by which factor ours is as
// fast as each floor in the median turn. When told to make one round trip, a contestant makes width.
func compare(b *testing.B, width int, ours contestant, floors ...floor) {
	const warmUp = 10
	ours(warmUp)
	for _, f := range floors {
		f.run(warmUp)
	}
	n := max(1, b.N/turns/width)
	ratios := make([][]float64, len(floors))
	floorTimes := make([]time.Duration, len(floors))
	var total time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	for range turns {
		b.StopTimer()
		for i, f := range floors {
			floorTimes[i] = f.run(n)
		}
		b.StartTimer()
		took := ours(n)
		total += took
		for i := range floors {
			ratios[i] = append(ratios[i], floorTimes[i].Seconds()/took.Seconds())
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(total.Nanoseconds())/float64(turns*n*width), "ns/op")
	for i, f := range floors {
		slices.Sort(ratios[i])
		b.ReportMetric(ratios[i][turns/2], f.metric)
	}
}

// together lets all clients do the same at the same time, and says how long that took.
func together[C any](clients []C, do func(C)) time.Duration {
	start := time.Now()
	var wait sync.WaitGroup
	for _, c := range clients {
		wait.Go(func() { do(c) })
	}
	wait.Wait()
	return time.Since(start)
}

// A floorLoop is one goroutine that all messages pass. nil: they pass none.
type floorLoop chan chan struct{}

func startLoop(b *testing.B) floorLoop {
	loop := make(floorLoop, 1024)
	stop := make(chan struct{})
	b.Cleanup(func() { close(stop) })
	go func() {
		for {
			select {
			case back := <-loop:
				back <- struct{}{}
			case <-stop:
				return
			}
		}
	}()
	return loop
}

// lane returns what a conn does with each of its messages.
func (l floorLoop) lane() (pass func()) {
	if l == nil {
		return func() {}
	}
	back := make(chan struct{}, 1)
	return func() {
		l <- back
		<-back
	}
}

// echoConns gives the conns of a listener back what they send, until it is closed.
func echoConns(l net.Listener, loop floorLoop) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go echoTo(c, loop)
	}
}

func echoTo(c io.ReadWriteCloser, loop floorLoop) {
	defer func() { _ = c.Close() }()
	pass := loop.lane()
	buf := make([]byte, 4<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		pass()
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}
