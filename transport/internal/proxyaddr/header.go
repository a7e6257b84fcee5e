// Package proxyaddr reads the address of a client from what a trusted proxy says about it: a PROXY protocol
// header before the first byte of a connection, or an X-Forwarded-For header in an HTTP request.
package proxyaddr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// The PROXY protocol, versions 1 and 2 (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).
const (
	signature1 = "PROXY "
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
	maxLine    = 107     // bytes of a header of version 1, with CRLF
	maxBody    = 4 << 10 // bytes of a header of version 2 after its first 16: addresses and TLVs
)

// ErrNoHeader says that a connection does not begin with a PROXY protocol header.
var ErrNoHeader = errors.New("the connection does not begin with a PROXY protocol header; let the proxy send one (in HAProxy: send-proxy or send-proxy-v2), or turn proxy-protocol off for this listener")

// IsHeaderStart reports whether the first five bytes of a connection are those of a PROXY protocol header.
func IsHeaderStart(b [5]byte) bool {
	return string(b[:]) == signature1[:5] || string(b[:]) == signature2[:5]
}

// ReadHeader reads a PROXY protocol header of version 1 or 2, and not a byte more. It returns the client's
// address, or nil when the proxy reports none: LOCAL, UNKNOWN, and families other than TCP over IP. Any error
// means that the connection must be closed.
func ReadHeader(r io.Reader) (net.Addr, error) {
	var buf [maxLine]byte
	start := buf[:len(signature2)] // the shortest header of version 1 is longer
	if _, err := io.ReadFull(r, start); err != nil {
		return nil, err
	}
	switch {
	case string(start) == signature2:
		return readVersion2(r)
	case strings.HasPrefix(string(start), signature1):
		line, err := readLine(r, buf[:], len(start))
		if err != nil {
			return nil, err
		}
		return parseVersion1(line)
	}
	return nil, ErrNoHeader
}

// readLine reads up to CRLF, one byte at a time, since what follows belongs to another protocol.
func readLine(r io.Reader, buf []byte, n int) (string, error) {
	for !strings.HasSuffix(string(buf[:n]), "\r\n") {
		if n == len(buf) {
			return "", malformed("the line of version 1 is longer than %d bytes", maxLine)
		}
		if _, err := io.ReadFull(r, buf[n:n+1]); err != nil {
			return "", err
		}
		n++
	}
	return string(buf[:n-2]), nil
}

func parseVersion1(line string) (net.Addr, error) {
	fields := strings.Split(line, " ")
	if fields[1] == "UNKNOWN" {
		return nil, nil
	}
	if len(fields) != 6 || fields[1] != "TCP4" && fields[1] != "TCP6" {
		return nil, malformed("%q", line)
	}
	var addrs [2]netip.AddrPort
	for i := range addrs {
		addr, err := netip.ParseAddr(fields[2+i])
		port, failed := parsePort(fields[4+i])
		if err != nil || failed != nil || addr.Zone() != "" || addr.Is4() != (fields[1] == "TCP4") {
			return nil, malformed("%q", line)
		}
		addrs[i] = netip.AddrPortFrom(addr, port)
	}
	return net.TCPAddrFromAddrPort(addrs[0]), nil
}

func parsePort(text string) (uint16, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err == nil && strconv.FormatUint(port, 10) != text {
		err = strconv.ErrSyntax
	}
	return uint16(port), err
}

func readVersion2(r io.Reader) (net.Addr, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint16(head[2:]))
	if length > maxBody {
		return nil, malformed("it has %d bytes after the first 16; at most %d are accepted", length, maxBody)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	switch command, family := head[0], head[1]; {
	case command == 0x20: // LOCAL: a connection of the proxy's own, such as a health check
		return nil, nil
	case command != 0x21:
		return nil, malformed("version and command are %#02x", command)
	case family == 0x11 && length >= 12:
		return tcpAddr(body[:4], body[8:10]), nil
	case family == 0x21 && length >= 36:
		return tcpAddr(body[:16], body[32:34]), nil
	case family == 0x00, family == 0x31 && length >= 216: // no address, or that of a UNIX socket
		return nil, nil
	default:
		return nil, malformed("address family %#02x with %d bytes", family, length)
	}
}

func tcpAddr(ip, port []byte) net.Addr {
	addr, _ := netip.AddrFromSlice(ip)
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(port)))
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("malformed PROXY protocol header: %s", fmt.Sprintf(format, args...))
}
