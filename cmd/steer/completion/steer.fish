# fish completion for %[1]s -*- shell-script -*-
#
# The words of the command line are given to %[1]s as arguments, and never evaluated.

function __%[1]s_offer
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program %[1]s
    if string match -q -- '*/*' "$words[1]"
        set program $words[1]
    end
    set -g __%[1]s_offers (command $program __offer fish $words[2..-1] "$current" 2>/dev/null)
    set -l directive $__%[1]s_offers[1]
    set -e __%[1]s_offers[1]
    test "$directive" != files
end

complete -c %[1]s -e
complete -c %[1]s -n __%[1]s_offer -f -a '$__%[1]s_offers'
