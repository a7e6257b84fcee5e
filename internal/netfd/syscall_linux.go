//go:build linux && !race

package netfd

import (
	"syscall"
	"unsafe"
)

// These calls do not tell the runtime that they may block, because they cannot. Telling it wakes its monitor thread each
// time when the process was idle: one conn alone has then 0.7 of the rate of the floor, and 1.0 without. (BenchmarkUnix)

func sysRead(fd uintptr, p []byte) (int, error) { return raw(syscall.SYS_READ, fd, p) }

func sysWrite(fd uintptr, p []byte) (int, error) { return raw(syscall.SYS_WRITE, fd, p) }

// raw makes a call with a buffer that is not empty.
func raw(call, fd uintptr, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// maxPieces is how many pieces the kernel takes at once.
const maxPieces = 1024

func sysWritev(fd uintptr, pieces [][]byte) (int, error) {
	var few [8]syscall.Iovec
	vector := few[:0]
	for _, piece := range pieces[:min(len(pieces), maxPieces)] {
		if len(piece) > 0 {
			v := syscall.Iovec{Base: unsafe.SliceData(piece)}
			v.SetLen(len(piece))
			vector = append(vector, v)
		}
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(unsafe.SliceData(vector))), uintptr(len(vector)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
