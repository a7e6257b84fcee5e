package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/stretchr/testify/require"
)

const exampleFile = "../../config.toml.example"

// keys returns the paths of all keys of a configuration.
func keys(t reflect.Type, under string) (paths []string) {
	for f := range t.Fields() {
		name := keyOf(f)
		if name == "" {
			continue
		}
		path := under + name
		element := f.Type
		for element.Kind() == reflect.Slice || element.Kind() == reflect.Pointer {
			element = element.Elem()
		}
		if element.Kind() == reflect.Struct {
			paths = append(paths, keys(element, path+".")...)
			continue
		}
		paths = append(paths, path)
	}
	return paths
}

// The example file has every key, so a new key must be documented there.
func TestExampleFileHasAllKeys(t *testing.T) {
	text, err := os.ReadFile(exampleFile)
	require.NoError(t, err)
	var table string
	named := map[string]bool{}
	heading := regexp.MustCompile(`^(?:# )?\[+([a-z.-]+)\]+`)
	setting := regexp.MustCompile(`^(?:# )?([a-z-]+) = .*#? *\S`)
	for line := range strings.Lines(string(text)) {
		if m := heading.FindStringSubmatch(line); m != nil {
			table = m[1] + "."
		} else if m := setting.FindStringSubmatch(line); m != nil {
			named[table+m[1]] = true
		}
	}
	all := keys(reflect.TypeFor[Config](), "")
	require.Greater(t, len(all), 15)
	for _, key := range all {
		require.True(t, named[key], "config.toml.example does not have %s", key)
		delete(named, key)
	}
	require.Empty(t, named, "config.toml.example has unknown keys")
}

// The defaults in the example file are those of the daemon.
func TestExampleFileHasTheDefaults(t *testing.T) {
	config, err := load(exampleFile)
	require.NoError(t, err)
	want := defaults()
	require.Equal(t, want.Limits, config.Limits)
	require.Equal(t, want.LogLevel, config.LogLevel)
	require.Equal(t, want.LogFormat, config.LogFormat)
	require.True(t, config.Access.Owner)
	require.Equal(t, "0600", config.Listen[0].Mode)

	// A listener without a mode gets the mode of the example.
	bare, err := load(writeConfig(t, t.TempDir(), oneSocket))
	require.NoError(t, err)
	require.Equal(t, config.Listen[0].Mode, bare.Listen[0].Mode)
	require.Equal(t, config.Listen[0].permissions, bare.Listen[0].permissions)

	// The example file writes each limit.
	var written struct {
		Limits map[string]any `toml:"limits"`
	}
	_, err = toml.DecodeFile(exampleFile, &written)
	require.NoError(t, err)
	require.Len(t, written.Limits, reflect.TypeFor[Limits]().NumField())
}

// The commented-out parts of the example are valid.
func TestExampleFileUncommentedIsValid(t *testing.T) {
	text, err := os.ReadFile(exampleFile)
	require.NoError(t, err)
	uncommented := regexp.MustCompile(`(?m)^# ([a-z-]+ = |\[)`).ReplaceAllString(string(text), "$1")
	require.NotEqual(t, string(text), uncommented)
	status, _, stderr := runCheck(writeConfig(t, t.TempDir(), uncommented))
	require.Zero(t, status, stderr)
}

// The defaults of the manager and of the daemon are equal.
func TestDefaultsReachTheManager(t *testing.T) {
	l := defaults().Limits
	m := l.managerLimits()
	require.Equal(t, l.MaxConns, m.MaxConns)
	require.Equal(t, l.MaxConnsPerPeer, m.MaxConnsPerPeer)
	require.Equal(t, int64(l.MaxBuffered), m.MaxBuffered)
	require.Equal(t, fmt.Sprint(l.WriteTimeout), fmt.Sprint(Duration(m.WriteTimeout)))
	require.Equal(t, fmt.Sprint(l.DrainTimeout), fmt.Sprint(Duration(m.DrainTimeout)))
	require.Zero(t, m.MaxRate)
	for f, v := range reflect.ValueOf(m).Fields() {
		require.True(t, f.Name == "MaxRate" || f.Name == "MaxBufferedPerPeer" || !v.IsZero(), "%s does not reach the manager", f.Name)
	}
	_, err := os.Stat(filepath.Join("..", "..", "config.toml.example"))
	require.NoError(t, err)
}
