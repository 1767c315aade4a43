"""What is said: the structs every part of the hub speaks, the topics they travel on, and their codec.

Imports nothing of ours. Money is ``int`` rials, quantities are ``Decimal`` with at most five places, times are
aware UTC ``datetime``; calendar dates are Gregorian ``date`` inside and Jalali for people.
"""
