package framescan

import "testing"

// BenchmarkScan finds the end of a small frame.
func BenchmarkScan(b *testing.B) {
	frame := []byte(`{"command":"bench-echo","arguments":{"value":"abcdefg"},"id":1}`)
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		var s Scanner
		if end, bad := s.Scan(frame); end != len(frame) || bad != nil {
			b.Fatal(end, bad)
		}
	}
}
