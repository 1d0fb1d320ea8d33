from text import shout


def main():
    return shout("words")
