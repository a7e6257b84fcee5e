package audit_test

import (
	"sync"
	"syscall"

	"github.com/rudderpost/rudderpost/audit"
)

// A disk has files. It can be full, and it can fail.
type disk struct {
	mu      sync.Mutex
	room    int // bytes; below 0: enough
	unsound error
	syncs   int
}

func (d *disk) set(room int, unsound error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room, d.unsound = room, unsound
}

func (d *disk) open(path string) (audit.File, error) {
	f, err := audit.OpenFile(path)
	return &faulty{f, d}, err
}

// A faulty file is a file on such a disk.
type faulty struct {
	audit.File
	disk *disk
}

func (f *faulty) Write(text []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.room < 0 || f.disk.room >= len(text) {
		f.disk.room -= min(len(text), max(f.disk.room, 0))
		return f.File.Write(text)
	}
	n, err := f.File.Write(text[:f.disk.room])
	f.disk.room -= n
	if err == nil {
		err = syscall.ENOSPC
	}
	return n, err
}

func (f *faulty) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.syncs++
	return f.disk.unsound
}
