package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// A job is one measurement.
type job struct {
	Contestant string
	Work       work
	Window     time.Duration
	Site       site
	Endpoint   endpoint
}

// A result has the figures of a measurement.
type result struct {
	Commands float64 // commands within the window
	Seconds  float64
	Latency  [3]float64 // seconds: the median, 99 % and 99.9 %
	CPU      float64    // seconds of the server's processes, within the window
	Allocs   float64    // allocations of the server for each command; negative: not known
	Memory   []float64  // growth of the server in bytes, at each of idleSteps
	Size     float64    // bytes of a program
	Settled  float64    // the last figure of Memory without garbage; negative: not known
}

func (r result) rate() float64 { return r.Commands / r.Seconds }

// driveHere is the main function of a driving process. It reads a job from stdin and writes the result to stdout.
func driveHere() int {
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		return complain(err)
	}
	r, err := j.do()
	if err != nil {
		return complain(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return complain(err)
	}
	return 0
}

func (j *job) do() (result, error) {
	c, err := contestantNamed(j.Contestant)
	if err != nil {
		return result{}, err
	}
	d := &driver{job: j, protocol: c.wire}
	d.prepare()
	if err := d.learn(); err != nil {
		return result{}, err
	}
	if j.Work.Idle {
		return d.idle()
	}
	var r result
	if d.raw() {
		r, err = d.driveRaw()
	} else {
		r, err = d.driveOwn()
	}
	if err != nil {
		return r, err
	}
	if r.Commands == 0 {
		return r, errors.New("no command was answered in time")
	}
	return r, nil
}

// allocations returns the number of allocations of the server until now; negative: not known.
func (d *driver) allocations() float64 {
	if m := d.Endpoint.memory(false); m != nil {
		return float64(m.Mallocs)
	}
	return -1
}

// allocsEach returns the allocations for each command between two such numbers.
func allocsEach(before, after float64, commands int) float64 {
	if before < 0 || commands == 0 {
		return -1
	}
	return (after - before) / float64(commands)
}

// overtime is how long a measurement goes on after its window if it has no reply yet.
const overtime = 20 * time.Second

// A driver does a job.
type driver struct {
	*job
	protocol
	kinds    []kind
	greeting int // length of the answer to the prologue
}

// prepare makes the requests.
func (d *driver) prepare() {
	for _, value := range d.Work.kinds() {
		k := kind{value: value, sixty: sixty(value), expect: []byte(value)}
		switch {
		case d.expect != "":
			k.expect = []byte(d.expect)
		case d.Work.Reply > 0 || value == larger:
			k.expect = []byte("xxxxxxxx")
		}
		depth := d.Work.Depth
		if d.session != nil {
			depth = 1 // each command in flight has a goroutine of its own
		}
		for i := 0; i < depth && d.request != nil; i++ {
			k.batch = append(k.batch, d.request(&d.Site, value, i)...)
		}
		d.kinds = append(d.kinds, k)
	}
}

// quiet is the time without data after which a reply is complete.
const quiet = 60 * time.Millisecond

// learn finds out the length of the replies, and checks them.
func (d *driver) learn() error {
	for i := range d.kinds {
		if d.session != nil {
			break
		}
		if err := d.learnKind(&d.kinds[i]); err != nil {
			return err
		}
	}
	return nil
}

func (d *driver) learnKind(k *kind) error {
	c, err := d.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	if d.prologue != nil {
		answer, err := d.ask(c, d.prologue(&d.Site))
		if err != nil {
			return err
		}
		d.greeting = len(answer)
	}
	answer, err := d.ask(c, d.request(&d.Site, k.value, 0))
	if err != nil {
		return err
	}
	if !bytes.Contains(answer, k.expect) || len(answer) < d.Work.Reply {
		return fmt.Errorf("answers %d bytes, %q", len(answer), answer[:min(len(answer), 300)])
	}
	k.whole, k.tail = d.Work.Depth*len(answer), bytes.Clone(answer[len(answer)-1:])
	return nil
}

// ask sends a message and returns the whole answer of the server.
func (d *driver) ask(c stream, message []byte) ([]byte, error) {
	if _, err := c.Write(message); err != nil {
		return nil, err
	}
	var answer []byte
	buf := make([]byte, 64<<10)
	wait := 5 * time.Second
	for {
		if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return nil, err
		}
		n, err := c.Read(buf)
		answer = append(answer, buf[:n]...)
		if len(answer) > d.Work.Reply {
			wait = quiet
		}
		switch {
		case err == nil:
		case len(answer) > 0 && (errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded)):
			return answer, c.SetReadDeadline(time.Time{})
		default:
			return nil, fmt.Errorf("no answer to %q: %w", message, err)
		}
	}
}

// connect opens a conn, without its prologue.
func (d *driver) connect() (stream, error) {
	if d.dial != nil {
		return d.dial(&d.Site, d.Endpoint)
	}
	return net.Dial(d.Endpoint.Network, d.Endpoint.Address)
}

// memory returns the figures of the server's runtime, or nil. With gc the server frees its garbage first.
func (e endpoint) memory(gc bool) *memory {
	if e.Control == "" {
		return nil
	}
	url := "http://runtime/memory"
	if gc {
		url += "?gc=1"
	}
	answer, err := e.control().Get(url)
	if err != nil {
		return nil
	}
	defer answer.Body.Close()
	var m memory
	if json.NewDecoder(answer.Body).Decode(&m) != nil {
		return nil
	}
	return &m
}

// control returns an HTTP client for the control socket of the server.
func (e endpoint) control() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", e.Control)
		},
	}}
}
