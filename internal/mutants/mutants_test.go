package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The list follows the code: the old text of each mutant occurs once in its file, and each test that it names exists.
// Whether the tests kill the mutants is for the command itself.
func TestMutantsNameTextAndTestsThatExist(t *testing.T) {
	t.Chdir("../..")
	tests := map[string]string{} // by package
	for _, m := range all() {
		source, err := m.apply()
		require.NoError(t, err)
		before, err := os.ReadFile(m.file)
		require.NoError(t, err)
		require.NotEqual(t, string(before), string(source), m.what)
		if _, known := tests[m.kill.pkg]; !known {
			names, err := exec.Command("go", "test", "-list", ".", m.kill.pkg).Output()
			require.NoError(t, err)
			tests[m.kill.pkg] = "\n" + string(names)
		}
		for _, name := range strings.Split(m.kill.test, "|") {
			require.Contains(t, tests[m.kill.pkg], "\n"+name+"\n", m.what)
		}
	}
}
