package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// driveOwn does a job with goroutines: one for each stream, or one for each command in flight in a session.
func (d *driver) driveOwn() (result, error) {
	width, callers := d.Work.Depth, 1
	if d.session != nil {
		width, callers = 1, d.Work.Depth
	}
	var trips []func(*kind) error
	for range d.Work.Conns {
		s, err := d.open()
		if err != nil {
			return result{}, err
		}
		defer s.close()
		for range callers {
			trips = append(trips, s.trip)
		}
		if d.Work.Each {
			trips[len(trips)-1] = d.openEach
			s.close()
		}
	}
	return d.measureOwn(trips, width)
}

func (d *driver) measureOwn(trips []func(*kind) error, width int) (r result, err error) {
	var (
		lock     sync.Mutex
		wg       sync.WaitGroup
		h        histogram
		failures []error
		counted  int
	)
	var counting, answered, over atomic.Bool
	for i, trip := range trips {
		wg.Go(func() {
			var own histogram
			var err error
			n := 0
			for all, now := 7*i, time.Now(); err == nil && !over.Load(); all++ {
				sent, k := now, d.next(all)
				err = trip(k)
				now = time.Now()
				if counting.Load() {
					if n++; n == 1 {
						answered.Store(true)
					}
					if k == &d.kinds[0] {
						own.add(int64(now.Sub(sent)))
					}
				}
			}
			lock.Lock()
			defer lock.Unlock()
			h.merge(&own)
			counted += n * width
			if err != nil {
				failures = append(failures, err)
			}
		})
	}
	time.Sleep(d.Window / 5)
	allocs := d.allocations()
	counting.Store(true)
	began, cpu := time.Now(), cpuTime(d.Endpoint.PIDs)
	time.Sleep(d.Window)
	for i := 0; !answered.Load() && i < int(overtime/time.Millisecond); i++ {
		time.Sleep(time.Millisecond)
	}
	counting.Store(false)
	r.Seconds, r.CPU = time.Since(began).Seconds(), cpuTime(d.Endpoint.PIDs)-cpu
	over.Store(true)
	allocsAfter := d.allocations()
	wg.Wait()
	if len(failures) > 0 {
		return r, fmt.Errorf("%d of %d clients failed, one of them: %w", len(failures), len(trips), failures[0])
	}
	r.Commands, r.Latency, r.Allocs = float64(counted), h.quantiles(), allocsEach(allocs, allocsAfter, counted)
	return r, nil
}

// open opens a session: that of the protocol, or one that sends prepared bytes on a stream.
func (d *driver) open() (session, error) {
	if d.session != nil {
		return d.session(&d.Site, d.Endpoint)
	}
	c, err := d.connect()
	if err != nil {
		return session{}, err
	}
	most := d.greeting
	for _, k := range d.kinds {
		most = max(most, min(k.whole, 64<<10))
	}
	buf := make([]byte, most)
	if d.prologue != nil {
		if _, err := c.Write(d.prologue(&d.Site)); err != nil {
			return session{}, err
		}
		if _, err := io.ReadFull(c, buf[:d.greeting]); err != nil {
			return session{}, err
		}
	}
	return session{close: func() { _ = c.Close() }, trip: func(k *kind) error {
		if _, err := c.Write(k.batch); err != nil {
			return err
		}
		for got := 0; got < k.whole; {
			n, err := c.Read(buf[:min(len(buf), k.whole-got)])
			got += n
			if err != nil && (got < k.whole || !errors.Is(err, io.EOF)) {
				return err
			}
			if got == k.whole && !bytes.HasSuffix(buf[:n], k.tail) {
				return fmt.Errorf("the replies to a batch end in %q", buf[max(0, n-100):n])
			}
		}
		return nil
	}}, nil
}

// openEach gives a command on a conn of its own.
func (d *driver) openEach(k *kind) error {
	s, err := d.open()
	if err != nil {
		return err
	}
	defer s.close()
	return s.trip(k)
}

// idle opens conns, gives one command on each, and measures how much the memory of the server grows.
func (d *driver) idle() (result, error) {
	r := result{Commands: 1, Seconds: 1, Allocs: -1, Settled: -1}
	if err := d.openEach(&d.kinds[0]); err != nil {
		return r, err
	}
	_ = d.Endpoint.memory(true)
	before := residents(d.Endpoint.PIDs)
	opened := 0
	for _, part := range idleSteps {
		for ; opened < int(part*float64(d.Work.Conns)); opened++ {
			s, err := d.open()
			if err == nil {
				err = s.trip(&d.kinds[0])
			}
			if err != nil {
				return r, fmt.Errorf("conn %d: %w", opened+1, err)
			}
			defer s.close()
		}
		r.Memory = append(r.Memory, residents(d.Endpoint.PIDs)-before)
	}
	if d.Endpoint.memory(true) != nil {
		r.Settled = residents(d.Endpoint.PIDs) - before
	}
	return r, nil
}
