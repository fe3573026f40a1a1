# What plain `flask ...` means in this folder: this app, in development.
FLASK_APP=wsgi.py
MYAPP_ENV=development
