package audit

import "io/fs"

// The types of files that tests implement.
type (
	File     = file
	HeadFile = headFile
	Storage  = storage
)

var (
	OpenFile    = osStorage.open
	OpenOn      = open
	OSStorage   = osStorage
	CurrentName = currentName
)

// OpenWith opens a log, and its file with the function opener.
func OpenWith(o Options, opener func(path string) (file, error)) (*Log, error) {
	s := osStorage
	s.open = opener
	return open(o, s)
}

// With returns a storage with these functions.
func (s storage) With(open func(string) (file, error), openHead func(string) (headFile, error), link func(string, fs.FileInfo) error) Storage {
	return storage{open, openHead, link}
}

// The functions of a storage.
func (s storage) Open(path string) (file, error)           { return s.open(path) }
func (s storage) OpenHead(path string) (headFile, error)   { return s.openHead(path) }
func (s storage) Link(path string, info fs.FileInfo) error { return s.link(path, info) }

const MaxBuffered = maxBuffered
