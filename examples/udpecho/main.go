// Udpecho is a daemon with worker threads: four workers return each UDP packet, between two marks. The workers read the marks
// without a lock. The command settings-set changes the marks; it is critical, so the workers pause while it runs.
//
//	go run ./examples/udpecho
//	steer -s unix:udpecho.sock settings-set open='<' close='>'
//	echo hello | nc -u -w 1 127.0.0.1 7007
//	steer -s unix:udpecho.sock stats-get
package main

import (
	"context"
	"errors"
	"log"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/unix"
)

// settings are variables without a lock. Each packet must have both marks of the same settings.
type settings struct {
	Open  string `json:"open" doc:"What stands before an echo." schema:"maxlen=16"`
	Close string `json:"close" doc:"What stands behind it." schema:"maxlen=16"`
}

// stats count packets. At the end each received packet is echoed or lost.
type stats struct {
	Received int64 `json:"received"`
	Echoed   int64 `json:"echoed"`
	Lost     int64 `json:"lost" doc:"The workers could not keep up, or it could not be sent."`
}

type echo struct {
	conn     *net.UDPConn
	workers  *loop.Pool
	settings settings // the workers read it; only critical commands change it

	received, echoed, lost atomic.Int64
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:7007")))
	if err == nil {
		err = run(ctx, conn, "udpecho.sock")
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, conn *net.UDPConn, socket string) error {
	defer conn.Close()
	e := &echo{conn: conn, workers: loop.NewPool(4, 256)}
	defer e.workers.Close() // before the conn is closed, so that all received packets are echoed
	var section loop.CriticalSection
	m := mgr.New(&mgr.Options{Critical: &section})
	if err := errors.Join(section.Add("workers", e.workers), m.Register(e.commands()...)); err != nil {
		return err
	}
	var receiver sync.WaitGroup
	receiver.Go(e.receive)
	defer receiver.Wait()
	defer func() { _ = conn.SetReadDeadline(time.Now()) }()
	return m.Run(ctx, &unix.Transport{Path: socket})
}

// commands returns the commands of the daemon. Their handlers run on the loop.
func (e *echo) commands() []mgr.Command {
	return []mgr.Command{
		mgr.Func("settings-get", "Return the settings.", mgr.Read,
			func(context.Context, mgr.None) (settings, error) { return e.settings, nil }),
		mgr.Func("settings-set", "Change the settings.", mgr.Write,
			func(_ context.Context, in settings) (settings, error) {
				e.settings = in
				return e.settings, nil
			}, mgr.Critical()),
		mgr.Func("stats-get", "Return what happened to the packets.", mgr.Read,
			func(context.Context, mgr.None) (stats, error) {
				return stats{Received: e.received.Load(), Echoed: e.echoed.Load(), Lost: e.lost.Load()}, nil
			}),
	}
}

// receive submits packets to the workers, until a deadline of the conn ends it.
func (e *echo) receive() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := e.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				log.Print("no more is echoed: ", err)
			}
			return
		}
		e.received.Add(1)
		packet := slices.Clone(buf[:n])
		if e.workers.Submit(func() { e.answer(packet, from) }) != nil {
			e.lost.Add(1)
		}
	}
}

// answer echoes one packet. It runs on a worker.
func (e *echo) answer(packet []byte, to netip.AddrPort) {
	reply := slices.Concat([]byte(e.settings.Open), packet, []byte(e.settings.Close))
	if _, err := e.conn.WriteToUDPAddrPort(reply, to); err != nil {
		e.lost.Add(1)
		return
	}
	e.echoed.Add(1)
}
