package transporttest

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// watchLeaks compares goroutines and descriptors at the end of a test with those of now. It must be
// called first, so that it runs after everything else was cleaned up.
func watchLeaks(t *testing.T) {
	t.Helper()
	goroutines, files := runtime.NumGoroutine(), descriptors()
	t.Cleanup(func() {
		if t.Failed() {
			return // of its own failure is enough said
		}
		for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			g, f := runtime.NumGoroutine(), descriptors()
			if g <= goroutines && f <= files {
				return
			}
			if time.Now().After(deadline) {
				all := make([]byte, 1<<20)
				all = all[:runtime.Stack(all, true)]
				t.Fatalf("leak: %d goroutines, were %d; %d descriptors, were %d\n%s",
					g, goroutines, f, files, all)
			}
		}
	})
}

// descriptors counts the open files of this process, where the system tells; elsewhere there are 0.
func descriptors() int {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(files)
}
