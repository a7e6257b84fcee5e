package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A rawClient gives commands on many sockets from one thread, with bytes that were made before. The less the client costs, the
// more of the measured time is that of the server. It makes system calls without the Go scheduler, which has no other
// goroutine to run.
type rawClient struct {
	*driver
	epoll  int
	to     unix.Sockaddr
	family int
	conns  []rawConn
	buf    []byte
}

type rawConn struct {
	fd   int
	kind *kind // of the batch in flight
	n    int   // how many batches the conn has sent
	got  int   // bytes of replies that have arrived
	sent int64
}

// driveRaw does a job with the raw client.
func (d *driver) driveRaw() (result, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	c := &rawClient{driver: d, conns: make([]rawConn, d.Work.Conns), buf: make([]byte, 256<<10)}
	var err error
	if c.family, c.to, err = socketAddress(d.Endpoint); err != nil {
		return result{}, err
	}
	if c.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return result{}, err
	}
	for i := range c.conns {
		c.conns[i].n = 7 * i // the conns begin at different commands of a mix
		if err := c.open(i); err != nil {
			return result{}, err
		}
	}
	return c.measure()
}

func (c *rawClient) measure() (r result, err error) {
	for i := range c.conns {
		if err := c.send(&c.conns[i]); err != nil {
			return r, err
		}
	}
	start := time.Now()
	from, until := int64(c.Window/5), int64(c.Window/5+c.Window)
	var h histogram
	var warm bool
	var began int64
	var cpu, allocs float64
	counted := 0
	events := make([]unix.EpollEvent, 256)
	for {
		n := wait(c.epoll, events)
		now := int64(time.Since(start))
		if !warm && now > from {
			allocs = c.allocations()
			warm, began, cpu = true, int64(time.Since(start)), cpuTime(c.Endpoint.PIDs)
			until = began + int64(c.Window)
			continue // what is in flight has waited
		}
		if now > until && (counted > 0 || now > until+int64(overtime)) {
			r.Seconds, r.CPU = float64(now-began)/1e9, cpuTime(c.Endpoint.PIDs)-cpu
			r.Commands, r.Latency, r.Allocs = float64(counted), h.quantiles(), allocsEach(allocs, c.allocations(), counted)
			return r, nil
		}
		for i := range n {
			at := int(events[i].Fd)
			conn := &c.conns[at]
			done, err := c.receive(conn)
			if err != nil {
				return r, err
			}
			if !done {
				continue
			}
			now := int64(time.Since(start))
			if warm {
				counted += c.Work.Depth
				if conn.kind == &c.kinds[0] && conn.sent > began {
					h.add(now - conn.sent)
				}
			}
			conn.got, conn.sent = 0, now
			if c.Work.Each {
				_ = unix.Close(conn.fd)
				if err := c.open(at); err != nil {
					return r, err
				}
			}
			if err := c.send(conn); err != nil {
				return r, err
			}
		}
	}
}

// open opens the i-th conn again, and sends its prologue.
func (c *rawClient) open(i int) error {
	fd, err := unix.Socket(c.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, c.to); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if c.family != unix.AF_UNIX {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	c.conns[i].fd = fd
	if c.prologue != nil {
		if _, err := unix.Write(fd, c.prologue(&c.Site)); err != nil {
			return err
		}
		for got := 0; got < c.greeting; {
			n, err := unix.Read(fd, c.buf[:c.greeting-got])
			if err != nil || n == 0 {
				return fmt.Errorf("the prologue was not answered: %w", err)
			}
			got += n
		}
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	return unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)})
}

func (c *rawClient) send(conn *rawConn) error {
	conn.kind = c.next(conn.n)
	conn.n++
	batch := conn.kind.batch
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(conn.fd), uintptr(unsafe.Pointer(&batch[0])), uintptr(len(batch)))
	if errno != 0 || int(n) != len(batch) {
		return fmt.Errorf("%d of %d bytes were sent: %w", int(n), len(batch), errno)
	}
	return nil
}

// receive reads once, and reports whether all replies have arrived. The next event brings further bytes.
func (c *rawClient) receive(conn *rawConn) (done bool, err error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(conn.fd), uintptr(unsafe.Pointer(&c.buf[0])), uintptr(len(c.buf)))
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		return false, nil
	case errno != 0:
		return false, fmt.Errorf("read: %w", errno)
	case n == 0:
		return false, errors.New("the server has hung up")
	}
	conn.got += int(n)
	if conn.got < conn.kind.whole {
		return false, nil
	}
	if conn.got > conn.kind.whole || !bytes.HasSuffix(c.buf[:n], conn.kind.tail) {
		return false, fmt.Errorf("the replies to a batch are %d bytes, not %d: %q", conn.got, conn.kind.whole, c.buf[:min(int(n), 300)])
	}
	return true, nil
}

// wait waits for events, at most a tenth of a second.
func wait(epoll int, events []unix.EpollEvent) int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 100, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

func socketAddress(e endpoint) (family int, to unix.Sockaddr, err error) {
	if e.Network == "unix" {
		return unix.AF_UNIX, &unix.SockaddrUnix{Name: e.Address}, nil
	}
	host, port, err := net.SplitHostPort(e.Address)
	if err != nil {
		return 0, nil, err
	}
	a := &unix.SockaddrInet4{}
	if a.Port, err = strconv.Atoi(port); err != nil {
		return 0, nil, err
	}
	copy(a.Addr[:], net.ParseIP(host).To4())
	return unix.AF_INET, a, nil
}
