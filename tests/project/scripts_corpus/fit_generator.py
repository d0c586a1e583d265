# expect: KD701 KD702 KD711 KD715 KD716
from tensorflow.keras.preprocessing.image import ImageDataGenerator
from tensorflow.keras import layers, models

flow = ImageDataGenerator(rescale=1.0 / 255).flow_from_directory("data", class_mode="binary")
model = models.Sequential([layers.Flatten(), layers.Dense(1, activation="sigmoid")])
model.compile(loss="binary_crossentropy", optimizer="adam")
model.fit_generator(flow, steps_per_epoch=100, epochs=30)
