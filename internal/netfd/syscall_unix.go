//go:build unix && (!linux || race)

package netfd

import "syscall"

func sysRead(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }

func sysWrite(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }

// sysWritev writes the first piece that is not empty: package syscall has no writev.
func sysWritev(fd uintptr, pieces [][]byte) (int, error) {
	for _, piece := range pieces {
		if len(piece) > 0 {
			return sysWrite(fd, piece)
		}
	}
	return 0, nil
}
