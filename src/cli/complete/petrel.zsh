#compdef petrel
# petrel completion for zsh. In ~/.zshrc, after compinit: source <(petrel completion zsh)
_petrel() {
  local line directive=none
  local -a found
  for line in "${(@f)$("${(Q)words[1]/#\~/$HOME}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $line in
      :*) directive=${line#:} ;;
      *$'\t'*) found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
      ?*) found+=("${line//:/\\:}") ;;
    esac
  done
  case $directive in
    files) compset -P '*='; _files ;;
    folders) compset -P '*='; _files -/ ;;
    *) _describe petrel found ;;
  esac
}
if [ "$funcstack[1]" = _petrel ]; then _petrel "$@"; else compdef _petrel petrel; fi
