"""The house's look for every form field: label, help, control and error in one partial."""

from django.forms.renderers import TemplatesSetting


class HouseFormRenderer(TemplatesSetting):
    field_template_name = "forms/field.html"
