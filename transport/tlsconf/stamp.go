package tlsconf

import (
	"io/fs"
	"os"
	"time"
)

// A stamp is how a file looked before it was read.
type stamp struct {
	path string
	info fs.FileInfo // nil: it could not be looked at
	at   time.Time
}

// settled is how old a change must be before a file that looks the same is the same: clocks of file
// systems tick slowly, and two changes within a tick leave the same time.
const settled = time.Second

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		info = nil
	}
	return stamp{path, info, time.Now()}
}

// changed reports whether the file may have changed since.
func (s stamp) changed() bool {
	info, err := os.Stat(s.path)
	if err != nil || s.info == nil {
		return true
	}
	return !os.SameFile(info, s.info) || info.Size() != s.info.Size() || info.Mode() != s.info.Mode() ||
		!info.ModTime().Equal(s.info.ModTime()) || s.at.Sub(s.info.ModTime()).Abs() < settled
}
