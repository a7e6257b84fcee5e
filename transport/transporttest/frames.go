package transporttest

import (
	"fmt"
	"strconv"
)

// filling is what frames are filled with: bytes that mean something outside strings.
const filling = `abc{[(<#>)]}/*d*/ //e ,:`

// frame returns a frame of n bytes, 2 or at least 24, that number tells from others.
func frame(n, number int) []byte {
	if n == 2 {
		return []byte("{}")
	}
	const frameRoom = 24
	if n < frameRoom {
		panic("transporttest: frame too short for its number")
	}
	b := make([]byte, 0, n)
	b = append(b, `{"n":`...)
	b = strconv.AppendInt(b, int64(number), 10)
	b = append(b, `,"f":"`...)
	for i := number % len(filling); len(b) < n-2; i++ {
		b = append(b, filling[i%len(filling)])
	}
	return append(b, `"}`...)
}

// frames returns count frames of different lengths.
func frames(count int) [][]byte {
	all := make([][]byte, count)
	for i := range all {
		all[i] = frame(24+i*37%700, i)
	}
	return all
}

// sizes are the lengths at which buffers change, up to longest and that itself.
func sizes(longest int) []int {
	var ok []int
	for _, n := range []int{
		2, 60, 511, 512, 513, 4095, 4096, 4097, 32767, 32768, 32769, 65535, 65536, 65537, 1 << 20,
	} {
		if n < longest {
			ok = append(ok, n)
		}
	}
	return append(ok, longest)
}

// short is a frame for a message.
func short(b []byte) string {
	if len(b) <= 100 {
		return strconv.Quote(string(b))
	}
	return fmt.Sprintf("%q… (%d bytes)", b[:80], len(b))
}
