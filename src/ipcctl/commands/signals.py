"""What the manual pages say of signals; the same of each that looks after one command, or after many."""

HANDED_ON = """
    Every signal that can be caught is handed on, but for CHLD, and what the terminal has sent to COMMAND as well; a
    queued one with its sender and value, any other as from ipcctl. So it is with one that was ignored when ipcctl
    started, as COMMAND does in turn. After TSTP, TTIN and TTOU ipcctl stops, too.
"""
OF_ONE = f"""{HANDED_ON}
    After a TERM or INT that is not the terminal's, COMMAND has the grace period before it is killed with all that it
    started. Any other signal, a HUP too, is COMMAND's to act on.
"""
OF_MANY = f"""{HANDED_ON.replace("COMMAND", "a command")}
    TERM, INT, QUIT and HUP end the commands, and ipcctl with 128+N; unless it was ignored when ipcctl started (nohup).
"""
