# petrel completion for fish. petrel completion fish > ~/.config/fish/completions/petrel.fish
function __petrel_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l lines ($words[1] __complete $words[2..-1] 2>/dev/null)
    switch "$lines[-1]"
        case :files
            __fish_complete_path (commandline -ct)
        case :folders
            __fish_complete_directories (commandline -ct)
        case '*'
            printf '%s\n' $lines[1..-2]
    end
end
complete -c petrel -f -a '(__petrel_complete)'
