package proxyaddr_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/transport/internal/proxyaddr"

	"github.com/stretchr/testify/require"
)

// version2 returns a header of version 2.
func version2(command, family byte, body string) string {
	head := binary.BigEndian.AppendUint16([]byte{command, family}, uint16(len(body)))
	return "\r\n\r\n\x00\r\nQUIT\n" + string(head) + body
}

const (
	inet4 = "\xc0\x00\x02\x07\xc6\x33\x64\x01\x9c\x40\x01\xbb"
	inet6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x9c\x40\x01\xbb"
)

func TestReadHeaderReturnsTheAddressAndReadsNoByteMore(t *testing.T) {
	for header, want := range map[string]string{
		"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n":  "192.0.2.7:40000",
		"PROXY TCP6 2001:db8::7 2001:db8::1 40000 443\r\n": "[2001:db8::7]:40000",
		"PROXY UNKNOWN\r\n":                                   "",
		"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n":       "",
		version2(0x21, 0x11, inet4):                           "192.0.2.7:40000",
		version2(0x21, 0x11, inet4+"\x03\x00\x04abcd"):        "192.0.2.7:40000", // with a TLV
		version2(0x21, 0x21, inet6):                           "[2001:db8::7]:40000",
		version2(0x20, 0x00, ""):                              "",
		version2(0x20, 0x11, inet4):                           "",
		version2(0x21, 0x00, ""):                              "",
		version2(0x21, 0x31, strings.Repeat("\x00", 216)):     "",
		version2(0x21, 0x11, inet4+strings.Repeat("x", 4084)): "192.0.2.7:40000",
	} {
		r := strings.NewReader(header + "next")
		addr, err := proxyaddr.ReadHeader(r)
		require.NoError(t, err, "%q", header)
		if want == "" {
			require.Nil(t, addr, "%q", header)
		} else {
			require.Equal(t, want, addr.String(), "%q", header)
		}
		rest, _ := io.ReadAll(r)
		require.Equal(t, "next", string(rest), "%q", header)
	}
}

func TestReadHeaderRefusesWhatIsNoHeader(t *testing.T) {
	for header, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":                        "does not begin with a PROXY protocol header",
		"\x16\x03\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00": "does not begin with a PROXY protocol header",
		`{"command":"list-commands"}`:                              "does not begin with a PROXY protocol header",
		"":                                                         "EOF",
		"PROXY TCP4 192.0.2.7":                                     "EOF",
		"PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n":              "malformed",
		"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443 1\r\n":        "malformed",
		"PROXY TCP4  192.0.2.7 198.51.100.1 40000 443\r\n":         "malformed",
		"PROXY TCP4 2001:db8::7 2001:db8::1 40000 443\r\n":         "malformed",
		"PROXY TCP6 192.0.2.7 198.51.100.1 40000 443\r\n":          "malformed",
		"PROXY TCP6 fe80::1%eth0 2001:db8::1 40000 443\r\n":        "malformed",
		"PROXY TCP4 192.0.2.7 198.51.100.1 040000 443\r\n":         "malformed",
		"PROXY TCP4 192.0.2.7 198.51.100.1 70000 443\r\n":          "malformed",
		"PROXY TCP4 192.0.2.7 198.51.100.1 -1 443\r\n":             "malformed",
		"PROXY UDP4 192.0.2.7 198.51.100.1 40000 443\r\n":          "malformed",
		"PROXY UNKNOWN" + strings.Repeat(" ", 200):                 "longer than 107 bytes",
		version2(0x11, 0x11, inet4):                                "malformed",
		version2(0x22, 0x11, inet4):                                "malformed",
		version2(0x21, 0x12, inet4):                                "malformed", // UDP
		version2(0x21, 0x11, inet4[:11]):                           "malformed",
		version2(0x21, 0x21, inet4):                                "malformed",
		version2(0x21, 0x11, inet4+strings.Repeat("x", 4085)):      "at most 4096",
		version2(0x21, 0x11, inet4)[:20]:                           "EOF",
	} {
		addr, err := proxyaddr.ReadHeader(strings.NewReader(header))
		require.ErrorContains(t, err, want, "%q", header)
		require.Nil(t, addr)
	}
}

func TestForwardedReturnsTheLastAddressThatIsNoTrustedProxy(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48"), netip.MustParsePrefix("127.0.0.1/32")}
	for _, test := range []struct {
		peer    string
		headers []string
		want    string
	}{
		{"10.0.0.1", nil, "10.0.0.1:443"},
		{"10.0.0.1", []string{"192.0.2.7"}, "192.0.2.7"},
		{"::ffff:10.0.0.1", []string{"192.0.2.7"}, "192.0.2.7"},
		{"2001:db8:1::1", []string{"2001:db8:2::7"}, "2001:db8:2::7"},
		{"10.0.0.1", []string{"192.0.2.7:4000"}, "192.0.2.7"},
		{"10.0.0.1", []string{"[2001:db8:2::7]:4000"}, "2001:db8:2::7"},
		{"10.0.0.1", []string{"[2001:db8:2::7]"}, "2001:db8:2::7"},
		{"10.0.0.1", []string{"192.0.2.7, 10.0.0.9"}, "192.0.2.7"},
		{"10.0.0.1", []string{"192.0.2.7", "10.0.0.9,10.0.0.8"}, "192.0.2.7"},
		{"10.0.0.1", []string{"10.0.0.7, 10.0.0.9"}, "10.0.0.7"},
		// What a client says is before what the proxy says, and is not read.
		{"10.0.0.1", []string{"127.0.0.1, 192.0.2.7"}, "192.0.2.7"},
		{"10.0.0.1", []string{"127.0.0.1", "192.0.2.7"}, "192.0.2.7"},
		{"10.0.0.1", []string{"nonsense, 192.0.2.7"}, "192.0.2.7"},
		// A peer that is no trusted proxy is not believed.
		{"192.0.2.99", []string{"127.0.0.1"}, "192.0.2.99:443"},
		{"192.0.2.99", []string{"nonsense"}, "192.0.2.99:443"},
	} {
		addr, err := proxyaddr.Forwarded(test.headers, proxies, &net.TCPAddr{IP: net.ParseIP(test.peer), Port: 443})
		require.NoError(t, err, "%+v", test)
		require.Equal(t, test.want, strings.Replace(addr.String(), "::ffff:", "", 1), "%+v", test)
	}
	for _, header := range []string{"", "unknown", "192.0.2.7,", "192.0.2.7 192.0.2.8", "_hidden", "nonsense, 10.0.0.9", "192.0.2.7:x"} {
		_, err := proxyaddr.Forwarded([]string{header}, proxies, &net.TCPAddr{IP: net.ParseIP("10.0.0.1"), Port: 443})
		require.ErrorContains(t, err, "malformed X-Forwarded-For", "%q", header)
	}
	addr, err := proxyaddr.Forwarded([]string{"192.0.2.7"}, nil, nil)
	require.NoError(t, err)
	require.Nil(t, addr)
}

func FuzzReadHeader(f *testing.F) {
	f.Add("PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n")
	f.Add(version2(0x21, 0x21, inet6))
	f.Fuzz(func(t *testing.T, header string) {
		addr, err := proxyaddr.ReadHeader(strings.NewReader(header))
		if err != nil {
			require.Nil(t, addr)
		} else if addr != nil {
			_, err := netip.ParseAddrPort(addr.String())
			require.NoError(t, err)
		}
	})
}
